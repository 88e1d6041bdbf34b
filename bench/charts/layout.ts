/** What drawing needs to reckon beforehand: how text breaks into lines, and where an axis ends. Pure. */

/** Of a letter against its size; a guess that is rather too wide, for nobody measures fonts here. */
const LETTER_WIDTH = 0.53;
const STEPS = [1, 2, 2.5, 5, 10] as const;

/** As lines of at most that width; a word that is longer stands alone. */
export function wrapped(text: string, width: number, fontSize: number): readonly string[] {
  const most = Math.floor(width / (fontSize * LETTER_WIDTH));
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > most) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(line);
  return lines;
}

/** An axis from nought: its end, at or above what it has to hold, and even steps to there. */
export function topOf(highest: number, steps = 5): { readonly top: number; readonly interval: number } {
  if (highest <= 0) return { top: 1, interval: 0.25 };
  const rough = highest / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const interval = Number((STEPS.find((step) => step * power >= rough * 0.999)! * power).toPrecision(6));
  return { top: Number((Math.ceil(highest / interval - 1e-9) * interval).toPrecision(6)), interval };
}
