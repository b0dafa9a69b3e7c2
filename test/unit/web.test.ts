import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { asSentence, proxyFor, reasonOf, webGet, WebError } from "../../src/lib/web";
import { ForwardProxy } from "./ask/forward-proxy";
import { TestAuthority } from "./ask/test-authority";

const serve: RequestListener = (request, response) => response.end(`${request.headers.host}${request.url}`);
let authority: TestAuthority;
let proxy: ForwardProxy;
let plain: ReturnType<typeof createHttpServer>;
let secure: ReturnType<typeof createHttpsServer>;

beforeAll(async () => {
  authority = new TestAuthority("DNS:files.test", "IP:127.0.0.1");
  plain = createHttpServer(serve);
  secure = createHttpsServer({ cert: authority.cert, key: authority.key }, serve);
  for (const server of [plain, secure]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
});

afterAll(() => {
  for (const server of [plain, secure]) server.close();
  authority.remove();
});

beforeEach(async () => {
  proxy = new ForwardProxy();
  await proxy.listen();
});

afterEach(() => proxy.close());

const portOf = (server: typeof plain | typeof secure) => (server.address() as AddressInfo).port;

async function get(url: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const surroundings = { env, home: "/nonexistent", platform: "linux" as const };
  return text(await webGet(new URL(url), { surroundings }));
}

it("goes through the proxy that is set, in either case, with or without TLS", async () => {
  const [http, https] = [`files.test:${portOf(plain)}`, `files.test:${portOf(secure)}`];
  const trust = { SSL_CERT_FILE: authority.file };
  expect(await get(`http://${http}/a?b`, { http_proxy: proxy.url })).toBe(`${http}/a?b`);
  expect(await get(`https://${https}/c`, { HTTPS_PROXY: proxy.url, ...trust })).toBe(`${https}/c`);
  expect(await get(`https://${https}/d`, { ALL_PROXY: proxy.url.replace("http://", ""), ...trust })).toBe(`${https}/d`);
  expect(proxy.requests).toEqual([http, https, https]);
});

it("shows a proxy the name and password that belong to it", async () => {
  proxy.login = "me:p%40ss".replace("%40", "@");
  const { port } = new URL(proxy.url.replace(/\/\/.*@/, "//"));
  const host = `files.test:${portOf(plain)}`;
  expect(await get(`http://${host}/`, { HTTP_PROXY: `http://me:p%40ss@127.0.0.1:${port}` })).toBe(`${host}/`);
  await expect(get(`http://${host}/`, { HTTP_PROXY: `http://127.0.0.1:${port}` })).rejects.toThrow(
    `the proxy 127.0.0.1:${port} wants a user name and a password`,
  );
  const refused = get(`http://${host}/`, { HTTP_PROXY: `http://me:other@127.0.0.1:${port}` });
  await expect(refused).rejects.toThrow(`the proxy 127.0.0.1:${port} doesn't accept the user name and password`);
});

it("never goes through one to this computer, nor to what NO_PROXY names", async () => {
  const env = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: "other.test, .files.test" };
  const host = `127.0.0.1:${portOf(plain)}`;
  expect(await get(`http://${host}/`, env)).toBe(`${host}/`);
  await expect(get(`http://files.test:${portOf(plain)}/`, env)).rejects.toThrow("files.test can't be found");
  expect(proxy.requests).toEqual([]);
});

it("trusts authorities that the computer is told to trust, and no others", async () => {
  const url = `https://127.0.0.1:${portOf(secure)}/`;
  await expect(get(url)).rejects.toThrow("the certificate of 127.0.0.1 isn't trusted here");
  await expect(get(url, { SSL_CERT_FILE: "/nonexistent" })).rejects.toThrow("isn't trusted here");
  expect(await get(url, { SSL_CERT_FILE: authority.file })).toContain("/");
  expect(await get(url, { NODE_EXTRA_CA_CERTS: authority.file })).toContain("/");
});

it("says so when the proxy is gone, or is none", async () => {
  await expect(get("http://files.test/", { HTTP_PROXY: "http://127.0.0.1:9" })).rejects.toThrow(
    "the proxy 127.0.0.1:9 refuses the connection",
  );
  await expect(get("http://files.test/", { HTTP_PROXY: "socks5://127.0.0.1:9" })).rejects.toThrow("http:// address");
});

it("has words of its own for what it knows, and leaves others their words", async () => {
  const known = get("http://127.0.0.1:9/");
  await expect(known).rejects.toBeInstanceOf(WebError);
  await expect(known).rejects.toThrow("127.0.0.1 refuses the connection");
  // To a server that speaks no TLS.
  await expect(get(`https://127.0.0.1:${portOf(plain)}/`)).rejects.not.toBeInstanceOf(WebError);
});

describe("the reason for people", () => {
  const reason = (url: string) => get(url).then(() => "none", reasonOf);

  it("is told of who doesn't speak TLS, or HTTP", async () => {
    const other = createServer((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n")).listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    expect(await reason(`http://127.0.0.1:${port}/`)).toBe("what answers there doesn't speak HTTP");
    other.close();
    expect(await reason(`https://127.0.0.1:${portOf(plain)}/`)).toBe(
      "no TLS connection comes about with what answers there: is it an http:// address?",
    );
  });

  it("is told of what is no address of the web", async () => {
    for (const url of ["files.test/x", "file:///files/x"]) {
      expect(await reason(url)).toBe("that is no http:// or https:// address");
    }
  });

  it("is told of an answer that is cut, and of what has no name", () => {
    expect(reasonOf(Object.assign(new Error("aborted"), { code: "ECONNRESET" }))).toBe("it broke off the connection");
    expect(reasonOf(new WebError("the proxy is gone"))).toBe("the proxy is gone");
    expect(reasonOf(Object.assign(new Error("x"), { code: "ERR_OTHER" }))).toBe("the connection failed");
    expect(reasonOf(new Error("x"))).toBe("the connection failed");
  });

  it("ends a sentence with one mark", () => {
    expect(["it is gone", "is it there?"].map(asSentence)).toEqual(["it is gone.", "is it there?"]);
  });
});

describe("NO_PROXY", () => {
  it.each([
    ["files.test", "files.test", true],
    ["FILES.test", "files.test", true],
    ["*", "files.test", true],
    ["*.test", "files.test", true],
    [".test", "files.test", true],
    ["a.test,files.test:8443", "files.test", true],
    ["files.test:443", "files.test", false],
    ["les.test", "files.test", false],
    ["", "files.test", false],
    ["0.0.0.0/0,::/0", "files.test", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3:8443", "10.1.2.3", true],
    ["10.1.2.3:8080", "10.1.2.3", false],
    ["a.test, 10.0.0.0/8", "10.1.2.3", true],
    ["10.9.9.9/8", "10.1.2.3", true],
    ["192.168.1.128/25", "192.168.1.127", false],
    ["169.254/16", "169.254.7.7", true],
    ["169.254", "169.254.7.7", false],
    ["10.0.0.0/33", "10.1.2.3", false],
    ["10.0.0.0/", "10.1.2.3", false],
    ["10.0.0.0/-1", "10.1.2.3", false],
    ["2001:db8::1", "[2001:db8::1]", true],
    ["[2001:DB8:0::1]", "[2001:db8::1]", true],
    ["2001:db8::1", "[2001:db8::2]", false],
    ["2001:db8::/32", "[2001:db8:7::1]", true],
    ["2001:db8::/129", "[2001:db8::1]", false],
    ["2001:db8::/32", "10.1.2.3", false],
  ])("%p means https://%s:8443: %p", async (entries, host, excepted) => {
    const surroundings = {
      env: { HTTPS_PROXY: "proxy.test:1", NO_PROXY: entries },
      home: "/",
      platform: "linux" as const,
    };
    const found = await proxyFor(new URL(`https://${host}:8443/`), surroundings);
    expect(found?.href).toBe(excepted ? undefined : "http://proxy.test:1/");
  });
});

describe("a Mac's own settings", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "torbiz-scutil-"));
    writeFileSync(join(folder, "scutil"), `#!/bin/sh\n[ "$1" = --proxy ] && cat <<'END'\n${SETTINGS}\nEND\n`, {
      mode: 0o755,
    });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const ask = async (url: string, env: NodeJS.ProcessEnv = {}) => {
    const surroundings = { env: { PATH: `${folder}:/usr/bin:/bin`, ...env }, home: "/", platform: "darwin" as const };
    return (await proxyFor(new URL(url), surroundings))?.href;
  };

  it("count where no variable is set, as in a launcher", async () => {
    expect(await ask("https://files.test/")).toBe("http://proxy.test:8080/");
    expect(await ask("http://files.test/")).toBeUndefined();
    expect(await ask("https://printer.local/")).toBeUndefined();
    expect(await ask("https://169.254.7.7/")).toBeUndefined();
    expect(await ask("https://localhost/")).toBeUndefined();
    expect(await ask("https://files.test/", { HTTPS_PROXY: "other.test:1" })).toBe("http://other.test:1/");
  });
});

/** As `scutil --proxy` prints them. */
const SETTINGS = `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  FTPPassive : 1
  HTTPEnable : 0
  HTTPSEnable : 1
  HTTPSPort : 8080
  HTTPSProxy : proxy.test
}`;
