import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { hubAccess } from "../../../src/lib/sharing/hub-access";

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "torbiz-hub-access-"));
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

async function told(env: NodeJS.ProcessEnv, token?: string) {
  const endpoint = { url: "unix:///var/run/docker.sock", source: "socket" as const };
  const access = await hubAccess({ env, home, platform: "linux", endpoint }, token);
  return access && { usesHost: access.usesHost, ...(JSON.parse(access.input) as Record<string, unknown>) };
}

function dockers(proxies: unknown): void {
  mkdirSync(join(home, ".docker"));
  writeFileSync(join(home, ".docker", "config.json"), JSON.stringify({ proxies }));
}

it("is nothing where nothing is set", async () => {
  expect(await told({})).toBeUndefined();
  // All that Mozilla trusts is trusted in the container, too.
  const bundle = join(home, "bundle.pem");
  writeFileSync(bundle, tls.rootCertificates.join("\r\n"));
  expect(await told({ SSL_CERT_FILE: bundle, NODE_EXTRA_CA_CERTS: join(home, "missing.pem") })).toBeUndefined();
});

it("is the token, the proxies and whom this computer trusts besides", async () => {
  const [own, another] = ["T1du", "QW5k"].map(
    (text) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----`,
  );
  writeFileSync(join(home, "bundle.pem"), `# Company\n${tls.rootCertificates[0]}\n${own}\n`);
  writeFileSync(
    join(home, "more.pem"),
    `-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n${another}\n${own}\n`,
  );
  const env = {
    https_proxy: "http://me:p%40ss@proxy.test:3128",
    ALL_PROXY: "proxy.test:1",
    NO_PROXY: "a.test, .b.test",
    REQUESTS_CA_BUNDLE: join(home, "bundle.pem"),
    NODE_EXTRA_CA_CERTS: join(home, "more.pem"),
  };
  expect(await told(env, "hf_mine")).toEqual({
    usesHost: false,
    token: "hf_mine",
    proxies: { https: "http://me:p%40ss@proxy.test:3128", all: "proxy.test:1", no: "a.test,.b.test" },
    authorities: `${own}\n${another}`,
  });
});

it("has the proxies that the docker command would give a container before those of this computer", async () => {
  dockers({
    default: { httpsProxy: "http://containers.test:1", noProxy: "a.test" },
    "tcp://other:2375": { httpsProxy: "http://other.test:1" },
  });
  expect(await told({ HTTPS_PROXY: "http://here.test:1" })).toMatchObject({
    proxies: { https: "http://containers.test:1", no: "a.test" },
  });
});

it("has those of this engine before those of any", async () => {
  dockers({
    default: { httpProxy: "http://any.test:1" },
    "unix:///var/run/docker.sock": { httpProxy: "http://this.test:1" },
  });
  expect(await told({})).toMatchObject({ proxies: { http: "http://this.test:1" } });
});

it.each(["{", '{"proxies": 3}', '{"proxies": {"default": {"httpProxy": 3}}}'])(
  "outlives a broken config: %s",
  async (text) => {
    mkdirSync(join(home, ".docker"));
    writeFileSync(join(home, ".docker", "config.json"), text);
    expect(await told({ HTTPS_PROXY: "http://here.test:1" })).toMatchObject({
      proxies: { https: "http://here.test:1" },
    });
  },
);

it.each([
  ["http://127.0.0.1:3128", "http://host.docker.internal:3128"],
  ["localhost:3128", "host.docker.internal:3128"],
  ["http://me:localhost@[::1]:3128/", "http://me:localhost@host.docker.internal:3128/"],
])("finds a proxy on this computer, %s, from a container", async (proxy, seen) => {
  expect(await told({ HTTP_PROXY: proxy })).toMatchObject({ usesHost: true, proxies: { http: seen } });
});

it.each(["http://localhost.test:1", "http://127.0.0.1.test:1", "http://127.0.0.1:pass@proxy.test:1"])(
  "leaves one elsewhere as it is: %s",
  async (proxy) => {
    expect(await told({ HTTP_PROXY: proxy })).toMatchObject({ usesHost: false, proxies: { http: proxy } });
  },
);
