import t from "tap";
import { play } from "./play.fixture.js";

play(t, "cluster");
