import { existsSync, readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { BlockList, isIP, type Socket } from "node:net";
import tls from "node:tls";
import { execa } from "execa";
import type { Surroundings } from "./context";
import { searchPath } from "./exec";

/** What decides how an address is reached: variables, and a Mac's own settings. */
export type WebSurroundings = Pick<Surroundings, "env" | "home" | "platform">;

export interface WebGetOptions {
  surroundings: WebSurroundings;
  headers?: OutgoingHttpHeaders;
  /** Ends the request, and the answer while it comes. */
  signal?: AbortSignal;
}

/**
 * Why an address isn't reached, for people: who fails (a host, a proxy) and how, to go on with after a colon. Any other
 * error of a request has its makers' words, which are for programmers.
 */
export class WebError extends Error {}

/** So long nothing may come. */
const SILENCE_MS = 60_000;
const SETTINGS_LIMIT_MS = 5_000;

/**
 * The answer to a GET as it begins to come; a redirect is an answer, too. It goes through the proxy that is set, and
 * trusts whom the computer trusts: Node by itself does neither.
 *
 * @throws WebError; AbortError when `signal` says so; what Node throws otherwise, such as for a broken protocol
 */
export async function webGet(url: URL, { surroundings, headers, signal }: WebGetOptions): Promise<IncomingMessage> {
  const proxy = await proxyFor(url, surroundings);
  const secure = url.protocol === "https:";
  const tunnel = proxy && (await openTunnel(proxy, url, signal));
  const ca = secure ? authorities(surroundings.env) : undefined;
  // Without brackets: an IPv6 address has them in a URL only. A certificate's name is sent for names only.
  const host = bareHost(url);
  const connection = tunnel
    ? {
        createConnection: () =>
          secure ? tls.connect({ socket: tunnel, host, ca, servername: serverName(host) }) : tunnel,
      }
    : { agent: false as const };
  return new Promise((resolve, reject) => {
    const outgoing = (secure ? httpsRequest : httpRequest)(
      url,
      { headers, signal, ca, timeout: SILENCE_MS, ...connection },
      resolve,
    );
    outgoing.on("timeout", () => outgoing.destroy(new WebError(`nothing came for ${SILENCE_MS / 1_000} seconds`)));
    outgoing.on("error", (error) => reject(explain(error, url.hostname)));
    outgoing.end();
  });
}

/**
 * The proxy for an address: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say, in either case, else what a Mac's
 * settings say. This is how python/torbiz/web.py has it, too. This computer itself is never reached through one.
 *
 * @throws WebError where it is none that is supported
 */
export async function proxyFor(url: URL, surroundings: WebSurroundings): Promise<URL | undefined> {
  const host = bareHost(url);
  if (/^(localhost|.*\.localhost|127(\.\d+){3}|::1|0\.0\.0\.0)$/i.test(host)) return undefined;
  const scheme = url.protocol.slice(0, -1);
  const { proxies, exceptions } = await proxySettings(surroundings);
  const named = proxies[scheme] ?? proxies.all;
  if (!named || exceptions.some((entry) => isExcepted(host, url.port, entry))) return undefined;
  const text = named.includes("://") ? named : `http://${named}`;
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new WebError("the proxy that is set is none that Torbiz can use: it must be an http:// address");
  }
  return new URL(text);
}

/** What is set here: variables, else a Mac's settings. The addresses may hold passwords. */
export async function proxySettings(surroundings: WebSurroundings): Promise<ProxySettings> {
  return variables(surroundings.env) ?? (await macSettings(surroundings));
}

export interface ProxySettings {
  /** By scheme; `all` for any. */
  proxies: Record<string, string | undefined>;
  /** Hosts that are reached without. */
  exceptions: string[];
}

function variables(env: NodeJS.ProcessEnv): ProxySettings | undefined {
  const read = (name: string) => env[name] ?? env[name.toUpperCase()];
  const [http, https, all] = ["http_proxy", "https_proxy", "all_proxy"].map(read);
  if (!http && !https && !all) return undefined;
  return {
    proxies: { http, https, all },
    exceptions: (read("no_proxy") ?? "").split(",").map((entry) => entry.trim()),
  };
}

/** A launcher's commands don't see a shell's variables: there the system's settings count. */
async function macSettings({ env, home, platform }: WebSurroundings): Promise<ProxySettings> {
  if (platform !== "darwin") return { proxies: {}, exceptions: [] };
  const { stdout } = await execa("scutil", ["--proxy"], {
    env: { PATH: searchPath(env, home) },
    extendEnv: false,
    stdin: "ignore",
    reject: false,
    timeout: SETTINGS_LIMIT_MS,
  });
  const facts = new Map(
    stdout.split("\n").flatMap((line) => {
      const [, name, value] = /^\s*(\w+) : (.+)$/.exec(line) ?? [];
      return name && value ? [[name, value] as const] : [];
    }),
  );
  const proxy = (kind: string) =>
    facts.get(`${kind}Enable`) === "1" ? `${facts.get(`${kind}Proxy`)}:${facts.get(`${kind}Port`) ?? 80}` : undefined;
  const exceptions = [...facts].filter(([name]) => /^\d+$/.test(name)).map(([, value]) => value);
  return { proxies: { http: proxy("HTTP"), https: proxy("HTTPS") }, exceptions };
}

/**
 * Whether an entry means a host: `example.com`, `.example.com`, `*.example.com`, `example.com:8443`, a network as
 * `isInNetwork` has it, or `*`.
 */
function isExcepted(host: string, port: string, entry: string): boolean {
  if (entry === "*" || isInNetwork(host, entry)) return true;
  const [, name = "", wantedPort] = /^(?:\*?\.)?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (!name || (wantedPort && wantedPort !== port)) return false;
  return host === name.toLowerCase() || host.endsWith(`.${name.toLowerCase()}`);
}

/** Whether an address is in a network such as `10.0.0.0/8` or `2001:db8::1`. A name is in none: it isn't looked up. */
function isInNetwork(host: string, entry: string): boolean {
  const [, text = "", bits] = /^\[?([^[\]/]+)(?:\/(\d+))?\]?$/.exec(entry) ?? [];
  // A Mac's settings leave zeros at the end away: 169.254/16.
  const start = bits && /^[\d.]+$/.test(text) ? [...text.split("."), "0", "0", "0"].slice(0, 4).join(".") : text;
  if (!isIP(host) || !isIP(start)) return false;
  const [family, most] = isIP(start) === 4 ? (["ipv4", 32] as const) : (["ipv6", 128] as const);
  const length = Number(bits ?? most);
  if (length > most) return false;
  const network = new BlockList();
  network.addSubnet(start, length, family);
  return network.check(host, isIP(host) === 4 ? "ipv4" : "ipv6");
}

/** A connection to a host through a proxy that only passes bytes on. */
async function openTunnel(proxy: URL, url: URL, signal?: AbortSignal): Promise<Socket> {
  const target = `${url.hostname}:${url.port || (url.protocol === "https:" ? 443 : 80)}`;
  const password = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const authorization = `Basic ${Buffer.from(password).toString("base64")}`;
  return new Promise((resolve, reject) => {
    const asking = (proxy.protocol === "https:" ? httpsRequest : httpRequest)({
      host: bareHost(proxy),
      port: proxy.port || (proxy.protocol === "https:" ? 443 : 80),
      method: "CONNECT",
      path: target,
      headers: { host: target, ...(proxy.username && { "proxy-authorization": authorization }) },
      agent: false,
      timeout: SILENCE_MS,
      signal,
    });
    asking.on("timeout", () => asking.destroy(new WebError(`the proxy ${proxy.host} doesn't answer`)));
    asking.on("error", (error) => reject(explain(error, `the proxy ${proxy.host}`)));
    asking.on("connect", ({ statusCode }, socket: Socket) => {
      if (statusCode === 200) return resolve(socket);
      socket.destroy();
      const login = proxy.username ? "doesn't accept the user name and password" : "wants a user name and a password";
      reject(new WebError(`the proxy ${proxy.host} ${statusCode === 407 ? login : `answered ${statusCode}`}`));
    });
    asking.end();
  });
}

/** Mozilla's, the system's (a company's own are there), and those that the usual variables name. */
function authorities(env: NodeJS.ProcessEnv): string[] {
  return [...tls.rootCertificates, ...ownAuthorities(env)];
}

/** Those that this computer trusts besides Mozilla's: certificates, PEM. */
export function ownAuthorities(env: NodeJS.ProcessEnv): string[] {
  // Node 20 can't read the system's.
  const { getCACertificates } = tls as Partial<typeof tls>;
  const { SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, NODE_EXTRA_CA_CERTS } = env;
  // The first that is named, as `trust` in python/torbiz/web.py has it.
  const bundle = [SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE].find((path) => path && existsSync(path));
  const named = [bundle, NODE_EXTRA_CA_CERTS].filter((path) => path !== undefined && existsSync(path)) as string[];
  const found = [...(getCACertificates?.("system") ?? []), ...named.map((path) => readFileSync(path, "utf8"))]
    .flatMap((text) => text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [])
    .map((certificate) => certificate.replace(/\r/g, ""));
  const mozillas = new Set(tls.rootCertificates);
  return [...new Set(found)].filter((certificate) => !mozillas.has(certificate));
}

function bareHost({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "").toLowerCase();
}

function serverName(host: string): string {
  return /^[\d.]+$|:/.test(host) ? "" : host;
}

const REASONS: Record<string, string> = {
  ENOTFOUND: "can't be found: is there a network?",
  EAI_AGAIN: "can't be found: is there a network?",
  ECONNREFUSED: "refuses the connection",
  ECONNRESET: "broke off the connection",
  ETIMEDOUT: "doesn't answer",
  EHOSTUNREACH: "can't be reached: is there a network?",
  ENETUNREACH: "can't be reached: is there a network?",
};

/** Why a request failed, for people, to go on with after a colon. The error itself stays the cause. */
export function reasonOf(error: unknown): string {
  if (error instanceof WebError) return error.message;
  const code = String((error as NodeJS.ErrnoException).code);
  if (/^HPE_/.test(code)) return "what answers there doesn't speak HTTP";
  if (/^(EPROTO$|ERR_SSL_)/.test(code))
    return "no TLS connection comes about with what answers there: is it an http:// address?";
  if (/^ERR_INVALID_(URL|PROTOCOL)$/.test(code)) return "that is no http:// or https:// address";
  const known = REASONS[code];
  return known ? `it ${known}` : "the connection failed";
}

/** What ends with a reason, as a sentence: a reason that asks has its end. */
export function asSentence(text: string): string {
  return text.endsWith("?") ? text : `${text}.`;
}

/** Node's own words are for programmers. */
function explain(error: NodeJS.ErrnoException, who: string): Error {
  if (error.name === "AbortError") return error;
  const { code = "" } = error;
  if (REASONS[code]) return new WebError(`${who} ${REASONS[code]}`, { cause: error });
  if (/CERT|VERIFY/.test(code)) {
    return new WebError(`the certificate of ${who} isn't trusted here`, { cause: error });
  }
  return error;
}
