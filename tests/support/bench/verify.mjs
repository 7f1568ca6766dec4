// sigstore-js verifies a bundle against a trusted root; offline.
//
// Usage: verify.mjs BUNDLE TRUSTED_ROOT [--artifact FILE] [--identity SUBJECT --issuer URL]
//                   [--key PUBLIC.pem] [--tlogs N] [--timestamps N] [--scts N]
//        verify.mjs --serve
//
// Ends with 0 where it verifies, 1 where it does not (the reason on stderr), 2 for wrong usage.
// With --key the bundle must be signed by that key; the thresholds are 1 where not given.
// With --serve each line of the input is a JSON array of such words, and is answered by a line
// {"status": N, "said": TEXT}: who asks often spares the start of Node.js.

import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";

const usage = "usage: verify.mjs BUNDLE TRUSTED_ROOT [--artifact FILE] [--identity SUBJECT --issuer URL] [--key FILE]";

function readOptions(args) {
  const string = { type: "string" };
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      artifact: string, identity: string, issuer: string, key: string,
      tlogs: string, timestamps: string, scts: string,
    },
  });
  if (positionals.length !== 2 || (values.identity === undefined) !== (values.issuer === undefined)) {
    throw new Error(usage);
  }
  return { ...values, bundle: positionals[0], root: positionals[1] };
}

const json = (file) => JSON.parse(readFileSync(file, "utf8"));

// A bundle of a key names it by a hint only: whatever the hint, there is one key here.
function finder(file) {
  const publicKey = createPublicKey(readFileSync(file));
  return () => ({ publicKey, validFor: () => true });
}

// The library takes the subject for a pattern that may match anywhere.
function policy({ identity, issuer }) {
  if (identity === undefined) return undefined;
  const exactly = identity.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return { subjectAlternativeName: `^${exactly}$`, extensions: { issuer } };
}

function verify(options) {
  const bundle = bundleFromJSON(json(options.bundle));
  const signedByKey = bundle.verificationMaterial.content.$case === "publicKey";
  if (signedByKey !== (options.key !== undefined)) {
    throw new Error(`the bundle is signed by a ${signedByKey ? "key" : "certificate"}`);
  }
  const root = TrustedRoot.fromJSON(json(options.root));
  const material = toTrustMaterial(root, options.key && finder(options.key));
  const artifact = options.artifact && readFileSync(options.artifact);
  const verifier = new Verifier(material, {
    tlogThreshold: Number(options.tlogs ?? 1),
    timestampThreshold: Number(options.timestamps ?? 1),
    ctlogThreshold: Number(options.scts ?? 1),
  });
  return verifier.verify(toSignedEntity(bundle, artifact), policy(options));
}

function answer(args) {
  let options;
  try {
    options = readOptions(args);
  } catch (error) {
    return { status: 2, said: error.message };
  }
  try {
    return { status: 0, said: verify(options).identity?.subjectAlternativeName ?? "key" };
  } catch (error) {
    return { status: 1, said: `${error.code ?? error.name}: ${error.message}` };
  }
}

const args = process.argv.slice(2);
if (args.length === 1 && args[0] === "--serve") {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(answer(JSON.parse(line))));
  }
} else {
  const { status, said } = answer(args);
  (status === 0 ? console.log : console.error)(said);
  process.exitCode = status;
}
