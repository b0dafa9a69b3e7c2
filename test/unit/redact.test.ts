import fc from "fast-check";
import { jest } from "@jest/globals";
import { redactor } from "../../src/lib/redact";

const redact = redactor(
  { env: { HF_TOKEN: "plain-secret-0", TORBIZ_API_KEY: "short", PATH: "/usr/bin" }, home: "/Users/ada" },
  "ada",
);

test.each([
  ["/Users/ada/.torbiz/logs", "~/.torbiz/logs"],
  ["/Users/adam/.torbiz", "/Users/adam/.torbiz"],
  ["owner: ada, not adamant", "owner: [user], not adamant"],
  ["a token hf_abcdefghijKLMNOP0123", "a token [token]"],
  ["sk-proj-0123456789abcdef.", "[token]."],
  ["Authorization: Bearer abc.def-123456", "Authorization: Bearer [token]"],
  ["https://ada:pa55word@hub.example/x", "https://[login]@hub.example/x"],
  ["https://a-token@hub.example/x", "https://[login]@hub.example/x"],
  ["https://:pa55word@hub.example/x", "https://[login]@hub.example/x"],
  ["http://u:p@ss/word@hub.example/x", "http://[login]@hub.example/x"],
  ["http://127.0.0.1:8080/x@main http://[::1]:80/x@main", "http://127.0.0.1:8080/x@main http://[::1]:80/x@main"],
  ["git+https://hub.example/petals.git@main", "git+https://hub.example/petals.git@main"],
  ["https://hub.example/x?token=abc&a=1&api_key=d/e=#f", "https://hub.example/x?token=[token]&a=1&api_key=[token]#f"],
  [
    "https://cdn.example/x?X-Amz-Signature=0a1b&Key-Pair-Id=K",
    "https://cdn.example/x?X-Amz-Signature=[token]&Key-Pair-Id=K",
  ],
  ["x-api-key: abc, HF_TOKEN=d", "x-api-key: [token], HF_TOKEN=[token]"],
  ['{"api_key": "abc","password":"d"}', '{"api_key": "[token]","password":"[token]"}'],
  ["xhf_abcdefghijKLMNOP0123", "x[token]"],
  [
    "load_hf_checkpoint of the task-identifier, 0.5 s a token: max_new_tokens=8",
    "load_hf_checkpoint of the task-identifier, 0.5 s a token: max_new_tokens=8",
  ],
  ["what HF_TOKEN held: plain-secret-0", "what HF_TOKEN held: [token]"],
  ["too short to be told from words: short", "too short to be told from words: short"],
  ["/usr/bin/docker", "/usr/bin/docker"],
])("%s becomes %s", (text, clean) => {
  expect(redact(text)).toBe(clean);
});

test("who has no name on this computer is no reason to fail", async () => {
  const userInfo = jest.fn(() => {
    throw new Error("ENOENT: no such file or directory, uv_os_get_passwd");
  });
  jest.resetModules();
  jest.unstable_mockModule("node:os", () => ({ userInfo }));
  const nameless = await import("../../src/lib/redact");
  expect(nameless.redactor({ env: {}, home: "/home/ada" })("/home/ada/x")).toBe("~/x");
  expect(userInfo).toHaveBeenCalledTimes(1);
});

test("root is no name of a person", () => {
  expect(redactor({ env: {}, home: "/root" }, "root")("a read-only root, /root/x")).toBe("a read-only root, ~/x");
});

test.each(["a.", "a://", "://", "hf_", "?key", "secret ", "_key", "sk-a ", "basic ", "[", "@"])(
  "a long text of %j takes no more than a moment",
  (part) => {
    const began = performance.now();
    redact(part.repeat(200_000 / part.length));
    expect(performance.now() - began).toBeLessThan(1_000);
  },
);

it("leaves no login of an address, whatever the password is", () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9.-]{0,12}$/);
  // As a port and a path it would be an address without a login.
  const password = fc.stringMatching(/^[^\s"<>]{4,20}$/).filter((text) => !/^\d+[/?#]/.test(text));
  fc.assert(
    fc.property(word, fc.option(word, { nil: "" }), password, word, (scheme, user, secret, host) => {
      const login = `${user}:${secret}`;
      expect(redact(`see ${scheme}://${login}@${host}.example.`)).toBe(`see ${scheme}://[login]@${host}.example.`);
    }),
  );
});

it("never leaves a secret, the home folder or the user's name, and never throws, whatever they are", () => {
  const secret = fc.string({ minLength: 8, maxLength: 40 });
  const name = fc.stringMatching(/^[a-z][a-z0-9_.-]{3,12}$/);
  fc.assert(
    fc.property(fc.array(fc.string()), secret, name, (texts, value, user) => {
      const home = `/Users/${user}`;
      const clean = redactor(
        { env: { HF_TOKEN: value }, home },
        user,
      )([...texts, value, `${home}/models`, `by ${user}!`].join("\n"));
      if (!"[token]".includes(value)) expect(clean).not.toContain(value);
      expect(clean).not.toContain(`${home}/`);
      expect(clean).not.toContain(`by ${user}!`);
    }),
  );
});
