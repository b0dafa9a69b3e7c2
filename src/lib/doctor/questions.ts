import type { Finding } from "./finding";

/** What people ask when they want to know whether it works, answered by what was found. */
export interface Answer {
  question: string;
  answer: "yes" | "no" | "not yet" | "unknown";
  /** What the answer rests on. */
  because: string;
}

/** The findings that decide each question; the first tells most. */
const QUESTIONS: readonly { question: string; by: readonly string[] }[] = [
  {
    question: "Does setup complete without errors?",
    by: ["image", "engine", "version", "context", "docker-cli", "disk", "docker-disk"],
  },
  { question: "Does GPU sharing start without dependency errors?", by: ["dependencies", "image", "share", "memory"] },
  { question: "Does direct inference still work?", by: ["environment-local", "python"] },
  { question: "Do model downloads persist?", by: ["volume"] },
  { question: "Can you stop and restart GPU sharing?", by: ["last-share", "share", "port", "engine", "clock"] },
];

/** Each question's answer: no worse than what it rests on, and no better. */
export function answersTo(findings: readonly Finding[]): Answer[] {
  return QUESTIONS.map(({ question, by }) => {
    const found = by.flatMap((id) => findings.find((finding) => finding.id === id) ?? []);
    const wrong = found.find(({ state }) => state === "problem");
    const pending = found.find((finding) => finding.pending);
    const unknown = found.find(({ state }) => state === "unknown");
    const [first] = found;
    if (wrong) return { question, answer: "no", because: wrong.detail };
    if (pending) return { question, answer: "not yet", because: pending.detail };
    if (unknown || !first) return { question, answer: "unknown", because: unknown?.detail ?? "Nothing was looked at." };
    return { question, answer: "yes", because: first.detail };
  });
}
