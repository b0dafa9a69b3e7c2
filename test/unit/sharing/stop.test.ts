import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openEngine } from "../../../src/lib/context";
import { buildFiles } from "../../../src/lib/docker/build/lock";
import { findBuild } from "../../../src/lib/docker/build/find-build";
import { stopSharing } from "../../../src/lib/sharing/stop";
import { LABELS, scriptedShare } from "./scripted-share";

test("a stop tells that it also cancelled a build that went on beside the share", async () => {
  const share = await scriptedShare();
  const { paths, names } = share.surroundings;
  const build = spawn("bash", ["-c", "exec -a build-docker-macos.sh sleep 60"], { detached: true });
  try {
    const { lock, log } = buildFiles(paths, names);
    mkdirSync(paths.logs, { recursive: true });
    writeFileSync(log, `torbiz: build pid=${build.pid} base=x \n`);
    const note = { pid: build.pid, startedAt: new Date().toISOString(), log, tag: names.image };
    writeFileSync(lock, JSON.stringify(note));
    while (!(await findBuild(paths, names))) await sleep(50);
    share.container = { State: { Status: "running", Running: true }, Config: { Labels: LABELS } };
    share.others["/containers/abc/stop"] = (_, response) => {
      share.container = { State: { Status: "exited", Running: false, ExitCode: 0 }, Config: { Labels: LABELS } };
      response.writeHead(204).end();
    };
    share.others["/containers/abc"] = (_, response) => {
      share.container = undefined;
      response.writeHead(204).end();
    };
    expect(await stopSharing(await openEngine(share.surroundings))).toMatchObject({
      stopped: true,
      cancelledBuild: true,
      message: expect.stringMatching(/^Stopped in .+ The build of the image was cancelled, too\.$/) as unknown,
    });
  } finally {
    build.kill();
    await share.close();
  }
});
