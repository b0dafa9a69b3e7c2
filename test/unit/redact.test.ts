import fc from "fast-check";
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
  ["what HF_TOKEN held: plain-secret-0", "what HF_TOKEN held: [token]"],
  ["too short to be told from words: short", "too short to be told from words: short"],
  ["/usr/bin/docker", "/usr/bin/docker"],
])("%s becomes %s", (text, clean) => {
  expect(redact(text)).toBe(clean);
});

test("root is no name of a person", () => {
  expect(redactor({ env: {}, home: "/root" }, "root")("a read-only root, /root/x")).toBe("a read-only root, ~/x");
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
