import { setTimeout as sleep } from "node:timers/promises";
import { TorbizError } from "../../../src/lib/errors";
import { runCheck, type Check, type Examined } from "../../../src/lib/doctor/finding";
import { repairAll } from "../../../src/lib/doctor/doctor";
import { answersTo } from "../../../src/lib/doctor/questions";
import type { Finding } from "../../../src/lib/doctor/finding";
import { scriptedShare, type ScriptedShare } from "../sharing/scripted-share";

let share: ScriptedShare;

beforeAll(async () => {
  share = await scriptedShare();
  examined = { surroundings: share.surroundings } as Examined;
});
afterAll(() => share.close());

let examined: Examined;
const check = (look: Check["look"], limitMs?: number): Check => ({ id: "a", title: "A", limitMs, look });

describe("a check", () => {
  it("that throws is unknown, with its reason", async () => {
    const finding = await runCheck(
      check(() => Promise.reject(new TorbizError("docker-not-answering", "Docker broke off."))),
      examined,
    );
    expect(finding).toMatchObject({ id: "a", title: "A", state: "unknown", detail: "Docker broke off." });
  });

  it("tells of another program's failure without the home folder and without secrets", async () => {
    const cause = new Error(`EIO: read ${share.surroundings.home}/x, Authorization: Bearer abcdefgh123`);
    const finding = await runCheck(
      check(() => Promise.reject(cause)),
      examined,
    );
    expect(finding.detail).toBe("EIO: read ~/x, Authorization: Bearer [token]");
  });

  it("that doesn't answer is unknown after its time, and told to end", async () => {
    let told = false;
    const finding = await runCheck(
      check(async (_, signal) => {
        signal.addEventListener("abort", () => (told = true));
        await sleep(60_000, undefined, { ref: false });
        return { state: "ok", detail: "late" };
      }, 50),
      examined,
    );
    expect(finding).toMatchObject({ state: "unknown", detail: "No answer came in 0.05 s." });
    expect(told).toBe(true);
  });

  it("ends with the whole look", async () => {
    const ending = new AbortController();
    const looking = runCheck(
      check(async () => {
        await sleep(60_000, undefined, { ref: false });
        return { state: "ok", detail: "late" };
      }),
      examined,
      ending.signal,
    );
    ending.abort();
    expect(await looking).toMatchObject({ state: "unknown", detail: "The look was stopped." });
  });
});

const finding = (id: string, more: Partial<Finding> = {}): Finding => ({
  id,
  title: id,
  state: "ok",
  detail: `${id} is fine.`,
  ...more,
});
const repair = (run: () => Promise<void>) => ({ title: "Mend", run });

/** @param now what a look finds just before the repair; the same as before unless told */
function repairEach(was: Finding[], now = (id: string) => was.find((each) => each.id === id) ?? finding(id)) {
  const checks = was.map(({ id, title }) => ({ id, title, look: () => now(id) }));
  return repairAll(share.surroundings, was, { checks });
}

describe("repairs", () => {
  it("are made of what isn't well, and one that fails keeps no other from it", async () => {
    const mended: string[] = [];
    const mend = (name: string) => repair(async () => void mended.push(name));
    const repaired = await repairEach([
      finding("fine", { repair: mend("fine") }),
      finding("unseen", { state: "unknown", repair: mend("unseen") }),
      finding("hopeless", { state: "problem", repair: repair(() => Promise.reject(new Error("no way"))) }),
      finding("torn", { state: "warning", repair: mend("torn") }),
      finding("beyond", { state: "problem" }),
    ]);
    expect(mended).toEqual(["torn"]);
    expect(repaired.map(({ id, error }) => [id, error?.message])).toEqual([
      ["hopeless", "no way"],
      ["torn", undefined],
    ]);
  });

  it("are of what is found just before, not of what was found once", async () => {
    const mended: string[] = [];
    const mend = (name: string) => repair(async () => void mended.push(name));
    const torn = (id: string, name = id) => finding(id, { state: "problem", repair: mend(name) });
    const was = [torn("image"), torn("dependencies"), torn("share"), torn("port")];
    const repaired = await repairEach(was, (id) => {
      // What the first repair does mends the second, too; the others have changed by themselves.
      if (id === "dependencies" && mended.includes("image")) return finding(id);
      if (id === "share") return finding(id, { state: "warning", repair: mend("another share") });
      if (id === "port") return finding(id, { state: "unknown", repair: mend("port") });
      return torn(id);
    });
    expect(mended).toEqual(["image", "another share"]);
    expect(repaired.map(({ id }) => id)).toEqual(["image", "share"]);
  });
});

describe("the five questions", () => {
  const IDS = ["image", "engine", "version", "context", "docker-cli", "disk", "docker-disk"];
  const about = (more: Record<string, Partial<Finding>>) => {
    const answers = answersTo(IDS.map((id) => finding(id, more[id])));
    return answers[0];
  };

  it("are five, and none is answered without a look", () => {
    const answers = answersTo([]);
    expect(answers.map(({ answer }) => answer)).toEqual(Array(5).fill("unknown"));
  });

  it("are answered no better than what was found", () => {
    expect(about({})).toEqual({
      question: "Does setup complete without errors?",
      answer: "yes",
      because: "image is fine.",
    });
    expect(about({ disk: { state: "warning" } })?.answer).toBe("yes");
    const unknown = { engine: { state: "unknown", detail: "?" } } as const;
    expect(about(unknown)).toMatchObject({ answer: "unknown", because: "?" });
    const pending = { ...unknown, image: { state: "warning", pending: true, detail: "To be built." } } as const;
    expect(about(pending)).toMatchObject({ answer: "not yet", because: "To be built." });
    const wrong = { ...pending, "docker-cli": { state: "problem", detail: "Gone." } } as const;
    expect(about(wrong)).toMatchObject({ answer: "no", because: "Gone." });
  });
});
