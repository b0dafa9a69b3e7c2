// docker-modem requires ssh2 at load, though only ssh:// hosts use it, and its native part cannot be bundled by `ray build`.
class Client {
  constructor() {
    throw new Error("ssh:// Docker hosts are not supported");
  }
}
module.exports = { Client };
