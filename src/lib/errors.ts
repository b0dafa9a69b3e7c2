/** A program and its arguments, for no shell. */
export interface ProgramStart {
  file: string;
  args: readonly string[];
}

/** What a person can do about a failure, besides reading the hint: views make an action of it. */
export interface ErrorAction {
  title: string;
  /** A page to open. */
  url?: string;
  /** A command to run in a terminal. */
  command?: string;
  /** The same as a program that we can start ourselves; absent where it needs a terminal, such as for sudo's question. */
  start?: ProgramStart;
}

interface CatalogueEntry {
  title: string;
  /** True in a launcher and in a terminal. */
  hint: string;
  /** What to type, for those who are in a terminal. */
  cliHint?: string;
  action?: ErrorAction;
}

const DOCKER_INSTALL_URL = "https://www.docker.com/products/docker-desktop";

/**
 * Every failure Torbiz knows by name: a title, and the next step where the place that fails has no better one.
 * The keys are the `code` of `--json` output: kebab-case, and a contract for people's scripts.
 */
const CATALOGUE = {
  "docker-not-installed": {
    title: "Docker isn't installed",
    hint: `Install Docker Desktop from ${DOCKER_INSTALL_URL}, start it, and try again.`,
    action: { title: "Install Docker", url: DOCKER_INSTALL_URL },
  },
  "docker-not-running": {
    title: "Docker isn't running",
    hint: "Start Docker, wait until it says that it is running, and try again.",
  },
  "docker-starting": { title: "Docker is starting", hint: "Wait a moment and try again." },
  "docker-not-answering": {
    title: "Docker isn't answering",
    hint: "Restart Docker and try again.",
  },
  "docker-permission-denied": {
    title: "No permission to use Docker",
    hint: "Add your user to the `docker` group (then log in again), or use rootless Docker.",
  },
  "docker-too-old": { title: "Docker is too old", hint: "Update Docker to 20.10 or newer." },
  "docker-wrong-os": {
    title: "Docker runs Windows containers",
    hint: "Switch Docker Desktop to Linux containers and try again.",
  },
  "docker-unexpected-answer": {
    title: "Something other than Docker answered",
    hint: "Check which program owns the socket, or choose another one.",
    cliHint: "Choose one with --docker-host.",
  },
  "docker-context-missing": {
    title: "The selected Docker context doesn't exist",
    hint: "Choose another with `docker context use NAME`, or name the Docker host yourself.",
    cliHint: "Name it with --docker-host.",
  },
  "docker-host-unsupported": {
    title: "This kind of Docker host is not supported",
    hint: "Use a unix socket (unix:///path) or tcp://host:port.",
  },
  "docker-cli-missing": {
    title: "The docker command is missing",
    hint: "The image is built with it. Install the Docker CLI and try again.",
    action: { title: "Install Docker", url: DOCKER_INSTALL_URL },
  },
  "docker-request-failed": { title: "Docker refused a request", hint: "Read the cause, then try again." },
  "setup-failed": { title: "Docker couldn't be set up", hint: "Read the log, fix the cause and try again." },
  "build-failed": {
    title: "The image couldn't be built",
    hint: "Read the log, then try again: finished steps are kept.",
  },
  "build-cancelled": { title: "The build was cancelled", hint: "Start it again at any time: finished steps are kept." },
  "base-image-unavailable": {
    title: "The base image can't be downloaded",
    hint: "Check the network and try again.",
    cliHint: "An image that you have can be named with TORBIZ_BASE_IMAGE.",
  },
  "image-check-failed": {
    title: "The new image doesn't work",
    hint: "Rebuild it from scratch, and report this if it stays.",
    cliHint: "Rebuild with `torbiz build --force`.",
  },
  "image-missing": {
    title: "The image isn't built yet",
    hint: "Share a model: that builds it first.",
    cliHint: "Or build it with `torbiz build`.",
  },
  "disk-full": { title: "The disk is full", hint: "Free some space and try again." },
  "foreign-container": {
    title: "Another container uses Torbiz's name",
    hint: "Rename or remove that container, and try again.",
    cliHint: "Or set TORBIZ_INSTANCE to share under another name.",
  },
  "port-in-use": { title: "The port is in use", hint: "Choose another port.", cliHint: "Choose it with --port." },
  "port-invalid": { title: "This port can't be used", hint: "Enter a number from 1024 to 65535." },
  "model-unknown": { title: "Unknown model", hint: "Choose one of the models that Torbiz knows." },
  "model-unsupported": {
    title: "Petals can't serve this model",
    hint: "Choose a model of the llama, falcon or bloom family whose weights are safetensors files.",
  },
  "model-gated": {
    title: "The model's owner must grant you access",
    hint: "Ask for access on the model's page, and give Torbiz a Hugging Face token of that account.",
    cliHint: "The token is read from HF_TOKEN.",
  },
  "hub-unreachable": {
    title: "The model hub can't be reached",
    hint: "Check the network and try again: what has been downloaded is kept.",
    cliHint: "A proxy is named with HTTPS_PROXY, another hub with HF_ENDPOINT.",
  },
  "model-broken": {
    title: "The model's files are damaged",
    hint: "Try again: what Torbiz brought is checked and comes anew. A file of your own stays as it is: choose another.",
  },
  "model-missing": {
    title: "The model isn't on this computer",
    hint: "Share it once: that prepares it.",
    cliHint: "Share it with `torbiz share`.",
  },
  "starter-failed": { title: "The starter model couldn't be prepared", hint: "Try again." },
  "blocks-invalid": {
    title: "Not a choice of blocks",
    hint: "Give a whole number of at least 1, or a range of the model's blocks, such as 0:4 for the first four.",
  },
  "not-enough-memory": {
    title: "Not enough memory",
    hint: "Close other programs, or choose a smaller model.",
    cliHint: "Choose one with --model.",
  },
  "speed-test-failed": {
    title: "The speed couldn't be measured",
    hint: "Try again. A share measures it, too, and tells it in its status.",
  },
  "limit-invalid": {
    title: "This limit can't be used",
    hint: "Choose a share of Docker's resources, such as 50%.",
    cliHint: "The limits are --cpus, --memory and --disk.",
  },
  "already-sharing": {
    title: "Already sharing",
    hint: "Stop that first, then share again.",
    cliHint: "Stop with `torbiz stop`.",
  },
  "share-failed": {
    title: "Sharing failed",
    hint: "See the cause in the log, and share again.",
    cliHint: "The log is shown by `torbiz logs`.",
  },
  "share-timeout": {
    title: "Sharing takes too long to start",
    hint: "See in the log what it does.",
    cliHint: "Follow it with `torbiz logs -f`.",
  },
  "not-sharing": { title: "Nothing is shared", hint: "Share a model first.", cliHint: "Start with `torbiz share`." },
  "no-swarm": {
    title: "No swarm to ask",
    hint: "Share a model first, or choose a swarm to ask.",
    cliHint: "Share with `torbiz share`, or name a swarm with --swarm.",
  },
  "swarm-invalid": {
    title: "Not a swarm",
    hint: "Use private, public, an invite, or a peer's address such as /ip4/1.2.3.4/tcp/31330/p2p/12D3...",
  },
  "invite-invalid": {
    title: "Not an invite",
    hint: "Copy the whole invite, from torbiz-invite: to its end, and try again.",
  },
  "invite-unavailable": {
    title: "Nobody can be invited to this swarm",
    hint: "Stop, and share with Local Network chosen: then others on it can join.",
    cliHint: "Stop with `torbiz stop`, and share with --lan.",
  },
  "lan-missing": {
    title: "No local network",
    hint: "Connect to one, or name the address by which others reach this computer.",
    cliHint: "Name it with --lan ADDRESS.",
  },
  "address-invalid": {
    title: "Not an address of this computer",
    hint: "Give an IPv4 address or a host name, such as 192.168.1.20.",
  },
  "not-reachable": {
    title: "Peers can't reach this computer",
    hint: "Forward the port on your router to this computer and let it through the firewall, or share in a swarm of your own.",
    cliHint: "Name the router's address with --lan ADDRESS, or leave --swarm out for a swarm of your own.",
  },
  "public-swarm-silent": {
    title: "The public network is silent",
    hint: "Start a swarm of your own and invite others, or try again later.",
    cliHint: "Start one with `torbiz share --lan`; `torbiz invite` invites others.",
  },
  "swarm-unreachable": {
    title: "The swarm can't be reached",
    hint: "Check that its first peer runs and is reachable.",
  },
  "clock-skew": {
    title: "The clocks differ",
    hint: "Set this computer's clock by the network's time. After sleep the clock of Docker's virtual machine can be behind: restart Docker then.",
  },
  "missing-blocks": {
    title: "Nobody serves some of the model's blocks",
    hint: "Wait for peers that serve them, or share them yourself.",
    cliHint: "Share with `torbiz share`.",
  },
  "not-asked": {
    title: "The question was not asked",
    hint: "Ask it now: it is kept.",
    cliHint: "`torbiz ask --continue` asks it.",
  },
  "prompt-empty": { title: "The question is empty", hint: "Type a question.", cliHint: "`-` reads one from stdin." },
  "prompt-too-long": { title: "The question is too long", hint: "Shorten it: the model can't hold it." },
  "ask-failed": { title: "The answer broke off", hint: "Try again." },
  "ask-timeout": { title: "The answer takes too long", hint: "Try again, or choose another engine." },
  "answer-cut": {
    title: "The answer was cut off",
    hint: "What came is kept. Continue it, or ask again.",
    cliHint: "Ask on with `torbiz ask --continue`.",
  },
  "answer-running": { title: "Still answering", hint: "Wait for the answer's end, or stop it." },
  "engine-invalid": {
    title: "Not an engine",
    hint: "Choose this computer, a swarm, or the address of a server such as http://127.0.0.1:11434/v1.",
    cliHint: "Choose with --engine this, --engine swarm or --engine URL.",
  },
  "server-unreachable": {
    title: "The server can't be reached",
    hint: "Check that it runs and that its address is right, or ask this computer.",
    cliHint: "Ask this computer with --engine this.",
  },
  "server-refused": {
    title: "The server refused the question",
    hint: "Read its reason, then try again or choose another model.",
    cliHint: "Choose one with --model.",
  },
  "server-key-wrong": {
    title: "The server doesn't take this key",
    hint: "Check its API key, and try again.",
    cliHint: "The key is read from TORBIZ_API_KEY, and sent only to the server that --engine names.",
  },
  "consent-needed": {
    title: "Strangers could read this question",
    hint: "Agree to it once, or ask this computer: then nothing leaves it.",
    cliHint: "Agree with --allow-strangers, or ask this computer with --engine this.",
  },
  "conversation-unknown": {
    title: "There is no such conversation",
    hint: "Choose one from the list, or start a new one.",
    cliHint: "`torbiz conversations list` shows them.",
  },
  "generation-unknown": {
    title: "There is no such answer",
    hint: "It may be long finished: read it in its conversation.",
    cliHint: "Show that with `torbiz conversations show`.",
  },
  "download-failed": {
    title: "The model couldn't be downloaded",
    hint: "Check the network and try again: what has come is kept.",
  },
  "python-fetch-failed": {
    title: "No Python could be fetched",
    hint: "Check the network and try again, or install a fitting Python yourself.",
    action: { title: "Install Python", url: "https://www.python.org/downloads/" },
  },
  "python-missing": {
    title: "No fitting Python was found",
    hint: "Install Python 3.11, or choose one that you have.",
    cliHint: "Name it with TORBIZ_PYTHON.",
    action: { title: "Install Python", url: "https://www.python.org/downloads/" },
  },
  "environment-failed": {
    title: "The Python environment couldn't be made",
    hint: "Read the log, then try again: it starts from the beginning.",
  },
  "ask-server-failed": { title: "The ask server couldn't start", hint: "Read its log, then try again." },
  "home-not-writable": {
    title: "Torbiz can't write its files",
    hint: "Make the folder writable, and try again.",
    cliHint: "Or name another one with TORBIZ_HOME.",
  },
  "instance-invalid": {
    title: "Not an instance name",
    hint: "An instance name has up to 24 small letters, digits and dashes.",
    cliHint: "It is named by TORBIZ_INSTANCE.",
  },
  usage: { title: "Not understood", hint: "See the help.", cliHint: "It is shown by `torbiz --help`." },
  interrupted: { title: "Interrupted", hint: "Start it again at any time." },
  unexpected: {
    title: "Something unexpected went wrong",
    hint: "Try again; if it stays, report it with the message above.",
    cliHint: "`torbiz doctor` looks for what is wrong.",
  },
} as const satisfies Record<string, CatalogueEntry>;

/** The code of a known failure, kebab-case. */
export type ErrorCode = keyof typeof CATALOGUE;

/** All known codes, for the tests that hold catalogue and guide together. */
export const errorCodes = Object.keys(CATALOGUE) as ErrorCode[];

export interface TorbizErrorOptions {
  /** What to do next, where the catalogue's own hint isn't the best one. */
  hint?: string;
  /** What to type, for those who are in a terminal; the catalogue's own goes with the catalogue's hint. */
  cliHint?: string;
  action?: ErrorAction;
  cause?: unknown;
  /** Further facts for `--json`, such as the last lines of a log. Never secrets, never prompts. */
  details?: Readonly<Record<string, unknown>>;
}

/**
 * The one class for failures that a person sees: what happened (`title`, `message`) and what to do next (`hint`, `action`).
 *
 * @example
 * throw new TorbizError("port-in-use", "Port 31330 is taken by another program.", { hint: "Port 31331 is free." });
 */
export class TorbizError extends Error {
  override readonly name = "TorbizError";
  readonly title: string;
  readonly hint: string;
  readonly cliHint?: string;
  readonly action?: ErrorAction;
  readonly details?: Readonly<Record<string, unknown>>;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: TorbizErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const entry: CatalogueEntry = CATALOGUE[code];
    this.title = entry.title;
    this.hint = options.hint ?? entry.hint;
    this.cliHint = options.cliHint ?? (options.hint === undefined ? entry.cliHint : undefined);
    this.action = options.action ?? entry.action;
    this.details = options.details;
  }
}

/** Any thrown value as a TorbizError: a known one as it is, file-system trouble by its meaning, the rest as `unexpected`. */
export function toTorbizError(error: unknown): TorbizError {
  if (error instanceof TorbizError) return error;
  const { name, code, path, message } = describe(error);
  if (name === "AbortError") {
    return new TorbizError("interrupted", "It was interrupted before it was done.", { cause: error });
  }
  if (code === "ENOSPC") {
    return new TorbizError("disk-full", path ? `No space is left to write ${path}.` : "No space is left on the disk.", {
      cause: error,
    });
  }
  if (path && (code === "EACCES" || code === "EROFS" || code === "EPERM")) {
    return new TorbizError("home-not-writable", `${path} can't be written (${code}).`, { cause: error });
  }
  return new TorbizError("unexpected", message, { cause: error });
}

function describe(error: unknown): { name?: string; code?: string; path?: string; message: string } {
  // Not by `instanceof`: errors of Node's own modules can come from another realm than ours.
  if (typeof error !== "object" || error === null) return { message: String(error) };
  const { name, code, path, message } = error as Partial<NodeJS.ErrnoException>;
  return { name, code, path, message: message ?? "No reason was given." };
}
