import Sequencer from "@jest/test-sequencer";

/**
 * Files by their names, whatever an earlier run has kept in Jest's cache. In `host` those that need an image come late so: then
 * `e2e`, beside it, has built the layers that both have in common.
 */
export default class ByName extends Sequencer {
  sort(tests) {
    return tests.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  }
}
