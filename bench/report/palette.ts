/** The colours of what benchmarks draw, page and pictures alike, on a light ground and on a dark one. */

export const PALETTE = {
  light: {
    ink: "#1b1f24",
    dim: "#5c6672",
    line: "#e3e7ec",
    ground: "#f6f7f9",
    card: "#ffffff",
    good: "#1a7f4b",
    bad: "#c23a2b",
    c0: "#3564c9",
    c1: "#c96a1f",
    c2: "#b03080",
    c3: "#2b8a6b",
    c4: "#7a5bc7",
  },
  dark: {
    ink: "#e6e9ee",
    dim: "#98a2b0",
    line: "#2c333d",
    ground: "#14171c",
    card: "#1c2128",
    good: "#4cc38a",
    bad: "#f0806f",
    c0: "#7ea6ff",
    c1: "#f0a35c",
    c2: "#ec7fbf",
    c3: "#5fcfa6",
    c4: "#b39cf5",
  },
} as const;

export type ColourName = keyof typeof PALETTE.light;
