import { DOWNLOAD_SETTINGS, pythonEnv } from "../../../src/lib/ask/python-env";

const settings = (env: NodeJS.ProcessEnv) => pythonEnv(env, "/home/me", DOWNLOAD_SETTINGS);

it("keeps what leads to the network, and no secrets", () => {
  const env = { SSL_CERT_FILE: "a", REQUESTS_CA_BUNDLE: "b", HF_TOKEN: "c", PYTHONPATH: "d", NO_PROXY: "e", HOME: "f" };
  const { SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NO_PROXY, HOME } = env;
  expect(settings(env)).toEqual({
    ...{ SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NO_PROXY, HOME },
    PATH: expect.any(String),
    PYTHONUTF8: "1",
  });
});

it.each([
  [{}, "localhost,127.0.0.1,::1"],
  [{ no_proxy: "a.test" }, "a.test,localhost,127.0.0.1,::1"],
  [{ NO_PROXY: "*" }, "*"],
])("never leads through a proxy to this computer: %p", (excepted, all) => {
  const env = settings({ HTTPS_PROXY: "http://proxy.test:8080", ...excepted });
  expect([env.NO_PROXY, env.no_proxy]).toEqual([all, all]);
});

it("names no exceptions without a proxy: a Mac's own settings would count no more", () => {
  expect(Object.keys(settings({ HTTPS_PROXY: "" })).filter((name) => /no_proxy/i.test(name))).toEqual([]);
});
