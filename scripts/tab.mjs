// Compile the loops of a tab (assets/tab/kernels/) with the pinned AssemblyScript. `npm run tab` writes the binary
// and its SHA-256; with --check they are compared with the committed ones.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";

const BINARY = "assets/tab/tab.wasm", HASH = `${BINARY}.sha256`;
const OPTIONS = ["--runtime", "stub", "--enable", "simd", "-O3", "--noAssert", "--converge", "--use", "abort="];

let binary = new Uint8Array();
const { error, stderr } = await asc.main(["assets/tab/kernels/index.ts", "--outFile", BINARY, ...OPTIONS],
  { writeFile: (_name, bytes) => { binary = bytes; } });
if (error) throw new Error(`${error.message}\n${stderr}`);
const files = { [BINARY]: Buffer.from(binary),
  [HASH]: Buffer.from(`${createHash("sha256").update(binary).digest("hex")}  tab.wasm\n`) };

if (!process.argv.includes("--check")) for (const [name, bytes] of Object.entries(files)) writeFileSync(name, bytes);
else if (Object.entries(files).some(([name, bytes]) => !bytes.equals(readFileSync(name)))) {
  console.error(`${BINARY} or its hash is not what assets/tab/kernels/ gives. Run: sh scripts/node_tools.sh npm run tab`);
  process.exitCode = 1;
}
