import { readFile } from "node:fs/promises";
import { execa } from "execa";

/** A process's command line, "" when there is none of that number. */
export async function commandLineOf(pid: number, platform: NodeJS.Platform = process.platform): Promise<string> {
  // Not every Linux has ps, and no Mac has /proc.
  if (platform === "linux") return readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  // BSD's ps cuts a line at 79 columns where nobody asks for all of it.
  const { stdout } = await execa("ps", ["-ww", "-p", `${pid}`, "-o", "command="], { reject: false, timeout: 10_000 });
  return stdout;
}
