import { openEngine } from "../../../src/lib/context";
import { removeCached } from "../../../src/lib/sharing/block-cache";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

let share: ScriptedShare;

beforeEach(async () => {
  share = await scriptedShare();
});

afterEach(() => share.close());

test.each([
  ["a model of the catalogue", "tinyllama-1.1b-chat", "tinyllama/tinyllama-1.1b-chat-v1.0"],
  ["one of which nothing is known any more", "owner--name", "Owner/Name"],
])("keeps what is shared, in whatever case it is named: %s", async (_, id, name) => {
  share.container = {
    State: { Status: "running", Running: true },
    Config: { Labels: { ...LABELS, "com.torbiz.model": id } },
  };
  await expect(removeCached(await openEngine(share.surroundings), name)).rejects.toMatchObject({
    code: "already-sharing",
  });
});

test("removes by the name that the hub gives a model, in whatever case it is typed", async () => {
  share.image = {};
  share.others["/volumes/create"] = (_, response) => void response.writeHead(201).end(JSON.stringify({ Name: "vol" }));
  share.others["/containers/json"] = (_, response) => void response.end("[]");
  let made = "";
  share.others["/containers/create"] = (request, response) => {
    request.on("data", (piece) => (made += String(piece)));
    request.on("end", () => response.writeHead(500).end(JSON.stringify({ message: "enough seen" })));
  };
  const removed = removeCached(await openEngine(share.surroundings), "tinyllama/TINYLLAMA-1.1b-chat-v1.0");
  await expect(removed).rejects.toMatchObject({ message: expect.stringContaining("enough seen") as string });
  expect(JSON.parse(made)).toMatchObject({
    Entrypoint: ["python", "-m", "torbiz.block_cache", "remove", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"],
  });
});
