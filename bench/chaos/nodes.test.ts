import t from "tap";
import { play } from "./play.fixture.js";

// Each has processes of its own and mostly waits for speech.
t.jobs = 2;
play(t, "node");
