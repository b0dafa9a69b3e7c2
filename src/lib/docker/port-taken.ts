/** Whether the engine's words say that a port it was to open is another program's. */
export function isPortTaken(words: string): boolean {
  return /port is already allocated|address already in use|ports are not available/i.test(words);
}
