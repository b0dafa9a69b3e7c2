import type { MenuBar } from "./menu-bar";
import type { MenuCommand } from "./menu-command";
import type { ResidentReport } from "./protocol";
import type { RunnerProcess } from "./runner-process";
import type { WaitOptions } from "./running-command";

/** A menu-bar command that is loaded again and again in one process, as Raycast does: what one load leaves, stays. */
export class ResidentCommand {
  constructor(
    private readonly process: RunnerProcess,
    private readonly load: () => MenuCommand,
  ) {}

  async refresh(options?: WaitOptions): Promise<MenuBar> {
    const command = this.load();
    command.start();
    return command.unloaded(options);
  }

  async report(): Promise<ResidentReport> {
    const report = await this.process.call("report");
    if (!report) throw new Error(`The resident process ended:\n${this.process.output}`);
    return report;
  }

  async close(): Promise<void> {
    await this.process.kill();
  }
}
