// Runs a WebAssembly program that reads files: node run_wasi.mjs PROGRAM ARGUMENTS...
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';
const [program, ...rest] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: [program, ...rest], preopens: { '/': '/' } });
const { instance } = await WebAssembly.instantiate(readFileSync(program), wasi.getImportObject());
process.exitCode = wasi.start(instance);
