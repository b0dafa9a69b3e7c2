import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { openSurroundings } from "../../../src/lib/context";
import { TorbizError } from "../../../src/lib/errors";
import { defaultModel, findModel } from "../../../src/lib/models";
import { createInvite, isInvite, readInvite } from "../../../src/lib/sharing/invite";
import { readStatus, type SharingStatus } from "../../../src/lib/sharing/status";
import { inviteTo } from "../../../src/lib/sharing/share-invite";
import { parseSwarm } from "../../../src/lib/sharing/swarm";
import { PETALS_VERSION } from "../../../src/lib/version";

const ID = "QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
const HERE = `/ip4/192.168.1.20/tcp/31330/p2p/${ID}`;
const LOOPBACK = `/ip4/127.0.0.1/tcp/31330/p2p/${ID}`;
const OTHER = "/ip4/192.168.1.7/tcp/31330/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
const ONLINE: SharingStatus = {
  ...readStatus(undefined),
  state: "online",
  model: defaultModel.id,
  swarm: "private",
  addresses: [LOOPBACK, HERE],
  reachability: "direct",
};
/** A home where nothing is remembered. */
const { paths } = openSurroundings({
  runtimeFiles: ".",
  env: { TORBIZ_HOME: mkdtempSync(join(tmpdir(), "torbiz-invite-")) },
});
const INVITE = createInvite(ONLINE, defaultModel, { kind: "private" });

afterAll(() => rmSync(paths.home, { recursive: true }));

function encode(content: unknown): string {
  return `torbiz-invite:${Buffer.from(JSON.stringify(content)).toString("base64url")}`;
}

function content(change: Record<string, unknown> = {}): Record<string, unknown> {
  return { v: 1, model: "m", prefix: "m-hf", peers: [HERE], petals: "2.2.0", ...change };
}

test("what was invited to is read again: model, peers, prefix and version, and no loopback", () => {
  expect(INVITE).toMatch(/^torbiz-invite:[\w-]+$/);
  expect(readInvite(INVITE)).toEqual({
    model: defaultModel.id,
    dhtPrefix: defaultModel.dhtPrefix,
    peers: [HERE],
    petals: PETALS_VERSION,
  });
});

test("a model of the hub is named by repository and revision", () => {
  const model = findModel("tinyllama-1.1b-chat");
  const { repository, revision } = model.source as { repository: string; revision: string };
  expect(readInvite(createInvite(ONLINE, model, { kind: "private" }))).toMatchObject({ model: repository, revision });
});

test("an invite is to the commit that the share was started with, whatever this computer has come to know since", () => {
  const shared = { ...ONLINE, model: "tinyllama-1.1b-chat", revision: "b".repeat(40) };
  expect(readInvite(inviteTo({ paths }, shared))).toMatchObject({ revision: shared.revision });
  const { revision } = findModel("tinyllama-1.1b-chat").source as { revision: string };
  expect(readInvite(inviteTo({ paths }, { ...shared, revision: null }))).toMatchObject({ revision });
});

test("a model of the hub may also be named without its commit", () => {
  const named = { model: undefined, repository: "owner/name" };
  expect(readInvite(encode(content(named)))).toEqual({
    ...{ model: "owner/name", dhtPrefix: "m-hf", peers: [HERE], petals: "2.2.0" },
  });
});

test("one who joined invites by its own address where others reach it, and by those it joined by", () => {
  const joined = parseSwarm([OTHER]);
  expect(readInvite(createInvite(ONLINE, defaultModel, joined)).peers).toEqual([HERE, OTHER]);
  const relayed = { ...ONLINE, reachability: "relayed" };
  expect(readInvite(createInvite(relayed, defaultModel, joined)).peers).toEqual([OTHER]);
});

test("nobody is invited to where they can't come, or needn't be", () => {
  const closed = { ...ONLINE, addresses: [LOOPBACK] };
  expect(() => createInvite(closed, defaultModel, { kind: "private" })).toThrow(/open to this computer only/);
  expect(() => createInvite(ONLINE, defaultModel, { kind: "public" })).toThrow(/needs no invite/);
  expect(() => createInvite({ ...ONLINE, state: "starting" }, defaultModel, { kind: "private" })).toThrow(
    expect.objectContaining({ code: "not-sharing" }) as Error,
  );
});

test.each([
  ["quotes", `"${INVITE}"`],
  ["typographic quotes and a space", ` \u201c${INVITE}\u201d `],
  ["a chat's angle brackets", `<${INVITE}>`],
  ["line breaks of a mail", INVITE.replace(/(.{60})/g, "$1\r\n")],
  ["Markdown", `\`${INVITE}\``],
])("it is read as people paste it: %s", (_, text) => {
  expect(isInvite(text)).toBe(true);
  expect(readInvite(text)).toEqual(readInvite(INVITE));
  expect(parseSwarm([text])).toMatchObject({ kind: "join", peers: [HERE], invite: { model: defaultModel.id } });
});

test("one of a newer Torbiz says so", () => {
  expect(() => readInvite(encode({ v: 2, anything: [] }))).toThrow(
    expect.objectContaining({ code: "invite-invalid", hint: "Update Torbiz." }) as Error,
  );
});

test.each([
  ["no version", content({ v: undefined })],
  ["no peers", content({ peers: [] })],
  ["too many peers", content({ peers: Array.from({ length: 17 }, () => HERE) })],
  ["a peer without its identity", content({ peers: ["/ip4/1.2.3.4/tcp/1"] })],
  ["a peer with an option in it", content({ peers: [`${HERE} --blocks`] })],
  ["a port that is none", content({ peers: [HERE.replace("31330", "99999")] })],
  ["a prefix that would end it", content({ prefix: "a.b" })],
  ["an option as its model", content({ model: "--model" })],
  ["an option as a revision", content({ model: undefined, repository: "a/b", revision: "--x" })],
  ["no model", content({ model: undefined })],
  ["no object", "text"],
])("%s is refused", (_, value) => {
  expect(() => readInvite(encode(value))).toThrow(expect.objectContaining({ code: "invite-invalid" }) as Error);
});

test("what is cut off anywhere is refused", () => {
  for (let length = 0; length < INVITE.length - 1; length += 1) {
    expect(() => readInvite(INVITE.slice(0, length))).toThrow(TorbizError);
  }
});

const anything = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.json().map((json) => `torbiz-invite:${Buffer.from(json).toString("base64url")}`),
  fc.record({ v: fc.constant(1) }, { requiredKeys: ["v"] }).map(encode),
  fc
    .record(
      {
        v: fc.constantFrom(1, 2, "1", null),
        model: fc.anything(),
        repository: fc.anything(),
        revision: fc.anything(),
        prefix: fc.anything(),
        peers: fc.oneof(fc.array(fc.oneof(fc.constant(HERE), fc.string())), fc.anything()),
        petals: fc.oneof(fc.constant("2.2.0"), fc.anything()),
      },
      { requiredKeys: [] },
    )
    .map((fields) =>
      encode(JSON.parse(JSON.stringify(fields, (_, value: unknown) => (typeof value === "bigint" ? 0 : value)))),
    ),
  fc.tuple(fc.nat(INVITE.length), fc.string({ maxLength: 3 })).map(([at, text]) => {
    return INVITE.slice(0, at) + text + INVITE.slice(at + text.length);
  }),
);

test("whatever the text, it is an invite that can be used, or refused as none", () => {
  fc.assert(
    fc.property(anything, (text) => {
      try {
        const invite = readInvite(text);
        expect(parseSwarm(invite.peers)).toEqual({ kind: "join", peers: invite.peers });
        expect(invite.dhtPrefix).not.toContain(".");
      } catch (error) {
        expect(error).toBeInstanceOf(TorbizError);
        expect((error as TorbizError).code).toBe("invite-invalid");
      }
    }),
    { numRuns: 2_000 },
  );
});

test("a very long text isn't looked at", () => {
  expect(() => readInvite(INVITE + " ".repeat(1_000_000))).toThrow(/longer than any invite/);
});
