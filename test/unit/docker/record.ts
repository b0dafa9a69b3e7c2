import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { SecondEngine } from "../../e2e/second-engine";
import { BASE } from "../../e2e/stand-in";

/**
 * Records what an engine says of itself and of what it refuses, by an engine of its own with a small disk: as root on Linux,
 * with the base image in this machine's engine. PATH chooses the engine. A newer one than this machine's needs no
 * installation: `apt-get download` of a newer Debian's docker.io and containerd, as scripts/buildkit.ts does it, and
 * `dpkg-deb --extract`. `npx prettier --write` gives the fixture its form.
 *
 *     PATH=NEW/usr/sbin:NEW/usr/bin:$PATH node --import tsx test/unit/docker/record.ts [containerd]
 */

const DISK_MIB = 1_200;
const PORT = 45_671;

const store = process.argv[2];
const engine = new SecondEngine(DISK_MIB, store ? { features: { "containerd-snapshotter": true } } : {});

interface Answer {
  status: number;
  body: string;
}

function ask(method: string, path: string, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/json" };
    const call = request({ socketPath: engine.socket, method, path, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    call.once("error", reject).end(body && JSON.stringify(body));
  });
}

const create = (name: string, more: object = {}) =>
  ask("POST", `/containers/create?name=${name}`, { Image: BASE, Cmd: ["sleep", "600"], ...more });
const start = (name: string) => ask("POST", `/containers/${name}/start`);
const publishing = {
  ExposedPorts: { "1/tcp": {} },
  HostConfig: { PortBindings: { "1/tcp": [{ HostIp: "127.0.0.1", HostPort: String(PORT) }] } },
};

/** Each in the engine that those before it left. */
const REFUSED: Record<string, () => Promise<Answer>> = {
  "an image isn't there": () => create("recorded", { Image: "nobody/none" }),
  "a container isn't there": () => ask("GET", "/containers/nothing/json"),
  "a container's name is taken": async () => {
    await create("recorded", publishing);
    return create("recorded");
  },
  "a port is taken by a program": async () => {
    const listen = ["python3", "-m", "http.server", "--bind", "127.0.0.1", String(PORT)];
    await engine.docker("run", "--detach", "--name", "program", "--network", "host", BASE, ...listen);
    await engine.docker("exec", "program", "python3", "-c", untilListening);
    const answer = await start("recorded");
    await engine.docker("rm", "--force", "program");
    return answer;
  },
  "a port is taken by a container": async () => {
    await start("recorded");
    await create("recorded-too", publishing);
    return start("recorded-too");
  },
  "a container is made on a full disk": async () => {
    await create("recorded-last");
    engine.fillDisk();
    return create("recorded-never");
  },
  "a container is started on a full disk": () => start("recorded-last"),
  "a client is too new": () => ask("GET", "/v1.99/info"),
  "a client is too old": () => ask("GET", "/v1.10/info"),
};

const untilListening = `
import socket, time
while socket.socket().connect_ex(("127.0.0.1", ${PORT})): time.sleep(0.1)`;

try {
  engine.start();
  await engine.ready();
  await engine.copy(BASE);
  const { Version, ApiVersion } = JSON.parse((await ask("GET", "/version")).body) as Record<string, string>;
  const { Driver, DriverStatus } = JSON.parse((await ask("GET", "/info")).body) as Record<string, unknown>;
  const answers: Array<Answer & { when: string }> = [];
  for (const [when, refused] of Object.entries(REFUSED)) answers.push({ when, ...(await refused()) });
  const day = new Date().toISOString().slice(0, 10);
  const recorded = `${day}: Docker Engine ${Version} (${String(Driver)}), API ${ApiVersion}`;
  const name = ["engine", Version?.replace(/\+.*/, ""), ...(store ? [store] : [])].join("-");
  mkdirSync(join(import.meta.dirname, "fixtures"), { recursive: true });
  writeFileSync(
    join(import.meta.dirname, "fixtures", `${name}.json`),
    `${JSON.stringify({ recorded, info: { Driver, DriverStatus }, answers }, null, 2)}\n`,
  );
} finally {
  await engine.remove();
}
