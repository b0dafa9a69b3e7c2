import { lookUp, type LookUpOptions } from "../../../src/lib/hub/look-up";
import { hubEndpoint } from "../../../src/lib/hub/endpoint";
import { addressOf, close, COMMIT, CONFIG, INFO, listen, ScriptedHub, surroundingsOf } from "./scripted-hub";

const TOKEN = "hf_secret";
let hub: ScriptedHub;

beforeEach(async () => {
  hub = await new ScriptedHub().start();
});

afterEach(() => hub.stop());

function look(options: Partial<LookUpOptions> = {}) {
  return lookUp({ repository: "owner/name", surroundings: surroundingsOf(`${hub.address}/`), ...options });
}

async function failure(options: Partial<LookUpOptions> = {}) {
  return look(options).then(
    () => undefined,
    (error: unknown) => error as { code: string; message: string; hint: string; action?: { url?: string } },
  );
}

describe("looking a model up", () => {
  it("takes commit, config, licence and the size of what Petals loads from the hub's own answers", async () => {
    expect(await look()).toEqual({
      repository: "Owner/Name",
      revision: COMMIT,
      config: expect.objectContaining({ model_type: "llama", num_hidden_layers: 4, attention_bias: false }) as unknown,
      license: "apache-2.0",
      gated: false,
      diskBytes: 1_000_000,
    });
    expect(hub.seen.map(({ path }) => path)).toEqual([
      "/api/models/owner/name/revision/main?blobs=true",
      `/owner/name/resolve/${COMMIT}/config.json`,
    ]);
  });

  it("shows a token to the hub, in a header, and to nobody that the hub sends on to", async () => {
    const others: (string | undefined)[] = [];
    const elsewhere = await listen((request, response) => {
      others.push(request.headers.authorization);
      response.end(JSON.stringify(CONFIG));
    });
    hub.instead = ({ url = "" }, response) => {
      if (!url.endsWith("config.json")) return false;
      response.writeHead(307, { location: `${addressOf(elsewhere)}/stored` }).end();
      return true;
    };
    try {
      await look({ token: TOKEN, revision: "v1 beta" });
    } finally {
      await close(elsewhere);
    }
    expect(hub.seen.map(({ authorization }) => authorization)).toEqual([`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]);
    expect(hub.seen[0]?.path).toBe("/api/models/owner/name/revision/v1%20beta?blobs=true");
    expect(others).toEqual([undefined]);
  });

  it("computes the size where the hub tells none, and takes a licence from wherever it is told", async () => {
    hub.info = { ...INFO, siblings: [{ rfilename: "model.safetensors" }], cardData: null, gated: "manual" };
    const { diskBytes, license, gated } = await look();
    // 4 blocks, the embedding and the last layer, the last norm; two bytes a value.
    const block = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64;
    expect({ diskBytes, license, gated }).toEqual({
      diskBytes: 2 * (4 * block + 2 * 1000 * 64 + 64),
      license: "apache-2.0",
      gated: true,
    });
    hub.info = { ...INFO, cardData: { license: "other", license_name: "llama-2" }, tags: [] };
    expect(await look()).toMatchObject({ license: "llama-2" });
    hub.info = { ...INFO, cardData: {}, tags: [] };
    expect(await look()).toMatchObject({ license: "unknown" });
  });

  it.each([
    [
      401,
      { "x-error-code": "GatedRepo" },
      undefined,
      "model-gated",
      "gives owner/name only to people it has allowed, and no token",
    ],
    [403, { "x-error-code": "GatedRepo" }, TOKEN, "model-gated", "the token's owner is not one of them"],
    [403, {}, TOKEN, "model-gated", "the token's owner is not one of them"],
    [401, {}, TOKEN, "model-gated", "doesn't accept the Hugging Face token"],
    [401, { "x-error-code": "RepoNotFound" }, undefined, "model-unknown", "has no model owner/name, or it is private."],
    [404, { "x-error-code": "RepoNotFound" }, TOKEN, "model-unknown", "has no model owner/name."],
    [404, { "x-error-code": "RevisionNotFound" }, undefined, "model-unknown", "has no revision main"],
    [404, { "x-error-code": "EntryNotFound" }, undefined, "model-unsupported", "has no config.json"],
    [429, {}, undefined, "hub-unreachable", "too many requests"],
    [500, {}, undefined, "hub-unreachable", "answers with 500"],
  ])("tells what %d with %j means", async (status, headers, token, code, words) => {
    hub.instead = (_, response) => Boolean(response.writeHead(status, headers as Record<string, string>).end());
    const error = await failure({ token });
    expect(error).toMatchObject({ code, message: expect.stringContaining(words) as unknown });
    expect(JSON.stringify(error)).not.toContain(TOKEN);
    if (words.includes("allowed")) expect(error?.action?.url).toBe(`${hub.address}/owner/name`);
  });

  it("asks for access also where only the files are refused", async () => {
    hub.info = { ...INFO, gated: "auto" };
    hub.instead = ({ url = "" }, response) =>
      url.endsWith("config.json") && Boolean(response.writeHead(401, { "x-error-code": "GatedRepo" }).end());
    expect(await failure()).toMatchObject({
      code: "model-gated",
      hint: expect.stringContaining(`${hub.address}/owner/name`) as unknown,
    });
  });

  it.each([
    ["no JSON", "<html>"],
    ["no commit", JSON.stringify({ ...INFO, sha: "main" })],
    ["no files", JSON.stringify({ ...INFO, siblings: 3 })],
    ["null", "null"],
  ])("knows what is no hub: %s", async (_, body) => {
    hub.instead = (_request, response) => Boolean(response.end(body));
    expect(await failure()).toMatchObject({
      code: "hub-unreachable",
      message: expect.stringContaining("doesn't answer as a model hub does") as unknown,
    });
  });

  it("waits for a silent hub as long as it may, and no longer", async () => {
    hub.instead = () => true;
    expect(await failure({ limitMs: 300 })).toMatchObject({
      code: "hub-unreachable",
      message: expect.stringContaining("has not answered within 0.3 s") as unknown,
    });
  });

  it("reads no answer that doesn't end, follows nobody in circles, and says when nobody is there", async () => {
    hub.instead = (_, response) => {
      const more = () => {
        if (!response.destroyed) response.write(" ".repeat(1 << 20), () => setImmediate(more));
      };
      more();
      return true;
    };
    expect(await failure()).toMatchObject({ code: "hub-unreachable" });
    const host = new URL(hub.address).host;
    hub.instead = ({ url = "" }, response) => Boolean(response.writeHead(302, { location: url }).end());
    expect(await failure()).toMatchObject({
      code: "hub-unreachable",
      message: `${host} can't be reached: it sends from one address to another without end.`,
    });
    expect(await failure({ surroundings: surroundingsOf("http://127.0.0.1:1") })).toMatchObject({
      code: "hub-unreachable",
      message: "127.0.0.1:1 refuses the connection.",
    });
  });

  it("names whom it sends on to where that one can't be reached, and a proxy", async () => {
    hub.instead = (_, response) => Boolean(response.writeHead(302, { location: "http://localhost:1/" }).end());
    expect(await failure()).toMatchObject({
      message: `${new URL(hub.address).host} can't be reached: localhost refuses the connection.`,
    });
    const surroundings = surroundingsOf("http://hub.test");
    const env = { ...surroundings.env, HTTP_PROXY: "http://127.0.0.1:1" };
    expect(await failure({ surroundings: { ...surroundings, env } })).toMatchObject({
      message: "hub.test can't be reached: the proxy 127.0.0.1:1 refuses the connection.",
    });
  });

  it.each([
    ["Node's", (address: string) => address, "Parse Error"],
    ["OpenSSL's", (address: string) => address.replace("http:", "https:"), "SSL"],
    ["of an address that is none", (address: string) => address, "Invalid URL"],
  ])("shows no words for programmers: %s", async (_, addressOf, words) => {
    hub.instead = ({ socket }, response) =>
      words === "Invalid URL"
        ? Boolean(response.writeHead(302, { location: "http://[" }).end())
        : Boolean(socket.end("no HTTP\r\n\r\n"));
    const error = await failure({ surroundings: surroundingsOf(addressOf(hub.address)) });
    expect(error).toMatchObject({
      code: "hub-unreachable",
      message: `${new URL(hub.address).host} can't be reached.`,
      cause: { message: expect.stringContaining(words) as unknown },
    });
  });

  it("can be stopped", async () => {
    hub.instead = () => true;
    expect(await failure({ signal: AbortSignal.timeout(50) })).toMatchObject({ code: "interrupted" });
  });

  it.each(["name", "owner/name/more", "../name", "owner/na me", "owner/..", "a--b/c", ""])(
    "asks nobody for %j",
    async (repository) => {
      expect(await failure({ repository })).toMatchObject({ code: "model-unknown" });
      expect(hub.seen).toEqual([]);
    },
  );

  it.each([
    ["only pickles", [{ rfilename: "pytorch_model.bin" }], "pickle files only"],
    ["no weights", [{ rfilename: "README.md" }], "has no weights as safetensors files"],
    ["others' forms", [{ rfilename: "gguf/model.safetensors" }, { rfilename: "model.gguf" }], "has no weights"],
  ])("takes safetensors only: %s", async (_, siblings, words) => {
    hub.info = { ...INFO, siblings };
    expect(await failure()).toMatchObject({
      code: "model-unsupported",
      message: expect.stringContaining(words) as unknown,
    });
  });
});

describe("the hub's address", () => {
  it.each([
    [undefined, "https://huggingface.co"],
    ["", "https://huggingface.co"],
    [" https://hub.example/ ", "https://hub.example"],
    ["http://127.0.0.1:8080/mirror/", "http://127.0.0.1:8080/mirror"],
  ])("is HF_ENDPOINT, or Hugging Face's: %j", (HF_ENDPOINT, address) => {
    expect(hubEndpoint({ HF_ENDPOINT })).toBe(address);
  });

  it.each(["hub.example", "ftp://hub.example", "https://me:secret@hub.example"])("can't be %s", (HF_ENDPOINT) => {
    expect(() => hubEndpoint({ HF_ENDPOINT })).toThrow(expect.objectContaining({ code: "hub-unreachable" }));
    expect(() => hubEndpoint({ HF_ENDPOINT })).not.toThrow("secret");
  });
});
