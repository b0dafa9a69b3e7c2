// Only execa's log of its own doings, which Torbiz never turns on, draws with this package; of its hundreds of signs these three.
export default { tick: "✔", cross: "✖", warning: "⚠" };
