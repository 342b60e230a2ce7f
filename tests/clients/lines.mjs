// JSON lines, as the programs here speak them with each other.
import { createInterface } from "node:readline";

/** Calls `hear` with each line's value. An error of the stream ends it quietly: its "close" says so. */
export function readLines(stream, hear) {
  const lines = createInterface({ input: stream });
  lines.on("line", (line) => hear(JSON.parse(line)));
  lines.on("error", () => {}); // readline passes the stream's errors on
}

export const toLine = (value) => JSON.stringify(value) + "\n";
