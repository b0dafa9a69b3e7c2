import { setTimeout as sleep } from "node:timers/promises";
import type { EngineContext } from "../../src/lib/context";
import { defaultModel } from "../../src/lib/models";
import { DEFAULT_PORT, LABELS } from "../../src/lib/names";
import type { BlockChoice } from "../../src/lib/sharing/blocks";
import { containerOptions } from "../../src/lib/sharing/container";
import { resourceLimits } from "../../src/lib/sharing/limits";
import { starterFolder } from "../../src/lib/starter-folder";
import { readStatus, type SharingStatus } from "../../src/lib/sharing/status";
import type { Swarm } from "../../src/lib/sharing/swarm";
import { exec } from "./torbiz";

const PORT = 31330;
const GIB = 1024 ** 3;
/** The first packet of a connection, for iptables. */
const BEGINS = ["-m", "conntrack", "--ctstate", "NEW"];
/** An idle machine needs a tenth of it. */
const ONLINE_MS = 8 * 60_000;

/** A network of its own, with addresses that nothing else here has. */
export interface Network {
  name: string;
  /** The first three numbers of its addresses. */
  prefix: string;
}

/**
 * A local network, and a home behind a router, on this one machine: two bridges of the engine, between which the kernel is
 * the router. What leaves the home goes out under the router's address, and nobody gets in; not even from this machine.
 * Their addresses follow from the instance's port, as several suites have a neighbourhood at once.
 */
export class Neighbourhood {
  readonly lan: Network;
  readonly home: Network;
  private readonly computers: Computer[] = [];
  private readonly rules: string[][];
  private readonly noWayIn: string[][];

  constructor(
    readonly context: EngineContext,
    readonly docker: string,
  ) {
    const suffix = context.names.network;
    const number = context.names.port - DEFAULT_PORT;
    const prefix = (odd: number) => `10.${213 + Math.floor(number / 125)}.${2 * (number % 125) + odd}`;
    this.lan = { name: `${suffix}-lan`, prefix: prefix(0) };
    this.home = { name: `${suffix}-home`, prefix: prefix(1) };
    const [lan, home] = [`${this.lan.prefix}.0/24`, `${this.home.prefix}.0/24`];
    this.rules = [
      ["DOCKER-USER", "-s", home, "-d", lan, "-j", "ACCEPT"],
      ["DOCKER-USER", "-s", lan, "-d", home, "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"],
      // This machine's own containers are in the local network as well: the engine parts its bridges from each other.
      ["DOCKER-USER", "-s", lan, "!", "-d", home, "-j", "ACCEPT"],
      ["DOCKER-USER", "-d", lan, "!", "-s", home, "-j", "ACCEPT"],
      ["OUTPUT", "-d", home, ...BEGINS, "-j", "REJECT"],
    ];
    this.noWayIn = [
      ["DOCKER-USER", "-s", lan, "!", "-d", home, ...BEGINS, "-j", "REJECT"],
      // By the engine's proxy of a published port. Peers know it where the kernel kept the port of a connection to them.
      ["INPUT", "-s", lan, ...BEGINS, "-j", "REJECT"],
    ];
  }

  async open(): Promise<void> {
    await this.close();
    for (const { name, prefix } of [this.lan, this.home]) {
      const label = `${LABELS.instance}=${this.context.names.instance}`;
      await exec(this.docker, ["network", "create", "--subnet", `${prefix}.0/24`, "--label", label, name]);
    }
    for (const rule of this.rules) await exec("iptables", ["-I", ...rule]);
  }

  /** This machine's address in a network. */
  addressIn({ prefix }: Network): string {
    return `${prefix}.1`;
  }

  /** Nothing comes to some computers or from them any more, and nobody is told. @returns what mends it */
  async cut(computers: readonly Computer[]): Promise<() => Promise<void>> {
    const rules = computers.flatMap(({ address }) => [
      ["DOCKER-USER", "-s", address, "-j", "DROP"],
      ["DOCKER-USER", "-d", address, "-j", "DROP"],
      // Also what this machine's own programs take and send, as the engine's proxy of a published port does.
      ["INPUT", "-s", address, "-j", "DROP"],
      ["OUTPUT", "-d", address, "-j", "DROP"],
    ]);
    for (const rule of rules) await exec("iptables", ["-I", ...rule]);
    this.rules.push(...rules);
    return async () => {
      for (const rule of rules) await exec("iptables", ["-D", ...rule]);
    };
  }

  /** From now on this machine's own containers are behind a router, too: nobody of the local network gets in to them. */
  async closeWayIn(): Promise<void> {
    for (const rule of this.noWayIn) await exec("iptables", ["-I", ...rule]);
  }

  /** Removes all of it, also what an earlier run that was killed has left. */
  async close(): Promise<void> {
    const { engine, names } = this.context;
    for (const { Id, Names } of await engine.list(LABELS.managed)) {
      if (Names.some((name) => name.startsWith(`/${names.container}-at-`))) await engine.remove(Id, { force: true });
    }
    for (const rule of [...this.noWayIn, ...this.rules]) await exec("iptables", ["-D", ...rule]).catch(() => undefined);
    for (const { name } of [this.lan, this.home])
      await exec(this.docker, ["network", "rm", name]).catch(() => undefined);
    const { stdout } = await exec(this.docker, ["volume", "ls", "-q", "-f", `name=${names.volume}-at-`]);
    for (const volume of stdout.split("\n").filter(Boolean)) await exec(this.docker, ["volume", "rm", volume]);
  }

  /** A computer with an address of its own that shares blocks in a swarm, from the product's own container. */
  async start(network: Network, number: number, swarm: Swarm, blocks: BlockChoice): Promise<Computer> {
    const { engine, names, paths, facts } = this.context;
    const address = `${network.prefix}.${number}`;
    const own = { container: `${names.container}-at-${number}`, volume: `${names.volume}-at-${number}` };
    await engine.ensureVolume(own.volume, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
    const [first] = this.computers;
    if (first) await this.lendMeasurement(first.volume, own.volume);
    const options = containerOptions(
      {
        ...{ model: defaultModel, swarm, host: address, port: PORT, blocks },
        files: { folder: `${starterFolder(paths)}/petals` },
        limits: { ...resourceLimits(facts), memoryBytes: 2 * GIB },
        startedBy: "share",
        inputs: "",
      },
      { ...names, ...own, network: network.name },
    );
    const id = await engine.createContainer(own.container, {
      ...options,
      // Computers of their own publish nothing on this one.
      HostConfig: { ...options.HostConfig, PortBindings: {} },
      NetworkingConfig: { EndpointsConfig: { [network.name]: { IPAMConfig: { IPv4Address: address } } } },
    });
    await engine.start(id);
    const computer = new Computer(this, id, own.volume, address);
    this.computers.push(computer);
    return computer;
  }

  /** All of them are this machine, which needn't measure itself again for each. */
  private async lendMeasurement(from: string, to: string): Promise<void> {
    // A new volume takes the owner of the image's folder in whose place it comes.
    const volumes = ["-v", `${from}:/from:ro`, "-v", `${to}:/cache`];
    const copy = "mkdir -p /cache/petals && cp -p /from/petals/throughput_v5.json /cache/petals/";
    await exec(this.docker, ["run", "--rm", ...volumes, "--entrypoint", "sh", this.context.names.image, "-c", copy]);
  }
}

/** One computer of a neighbourhood. */
export class Computer {
  constructor(
    private readonly neighbourhood: Neighbourhood,
    readonly id: string,
    readonly volume: string,
    readonly address: string,
  ) {}

  async status(): Promise<SharingStatus> {
    return readStatus(await this.neighbourhood.context.engine.inspect(this.id));
  }

  /** Waits for a state of its share. @throws when it ends instead, with its log */
  async until(what: string, fits: (status: SharingStatus) => boolean): Promise<SharingStatus> {
    for (const end = Date.now() + ONLINE_MS; ;) {
      const status = await this.status();
      if (fits(status)) return status;
      if (status.state === "exited" || Date.now() > end) {
        throw new Error(`${this.address} never was ${what}: ${JSON.stringify(status)}\n${await this.log()}`);
      }
      await sleep(500);
    }
  }

  online(): Promise<SharingStatus> {
    return this.until("online", ({ state }) => state === "online");
  }

  /** When its container was started. */
  async startedAt(): Promise<string | undefined> {
    return (await this.neighbourhood.context.engine.inspect(this.id))?.State.StartedAt;
  }

  async log(): Promise<string> {
    const { stdout, stderr } = await exec(this.neighbourhood.docker, ["logs", this.id]);
    return stdout + stderr;
  }

  /** All that it runs stands still, as when its lid is closed. @returns what wakes it */
  async sleep(): Promise<() => Promise<void>> {
    await exec(this.neighbourhood.docker, ["pause", this.id]);
    return async () => {
      await exec(this.neighbourhood.docker, ["unpause", this.id]);
    };
  }

  /** As when its power fails. */
  async kill(): Promise<void> {
    await this.neighbourhood.context.engine.kill(this.id, "SIGKILL");
  }
}
