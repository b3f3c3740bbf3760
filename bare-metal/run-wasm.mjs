// Runs a program of this folder that is compiled to WebAssembly: node run-wasm.mjs FILE
import { readFileSync } from "node:fs";

let memory;
const decoder = new TextDecoder();
const print = (text, length) =>
    process.stdout.write(decoder.decode(new Uint8Array(memory.buffer, text, length)));
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {
    host: { print },
});
memory = instance.exports.memory;
process.exit(instance.exports.run() ? 0 : 1);
