import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** An authority that nobody trusts unless told to, and a certificate of it for some names. */
export class TestAuthority {
  /** The authority's own certificate: for SSL_CERT_FILE. */
  readonly file: string;
  readonly cert: Buffer;
  readonly key: Buffer;
  private readonly folder = mkdtempSync(join(tmpdir(), "torbiz-ca-"));

  /** @param names such as "DNS:localhost" */
  constructor(...names: string[]) {
    const run = (...args: string[]) => execFileSync("openssl", args, { cwd: this.folder, stdio: "pipe" });
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    run("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test Authority");
    run("req", ...key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=Test");
    writeFileSync(join(this.folder, "names"), `subjectAltName=${names.join(",")}\n`);
    const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
    run("x509", "-req", "-in", "request.pem", "-out", "cert.pem", ...signed);
    this.file = join(this.folder, "ca.pem");
    this.cert = readFileSync(join(this.folder, "cert.pem"));
    this.key = readFileSync(join(this.folder, "key.pem"));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
