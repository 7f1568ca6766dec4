// sigstore-js signs a statement and attaches it to an image, as actions/attest of GitHub does.
//
// Usage: attest.mjs STATEMENT IMAGE --fulcio URL --rekor URL --token JWT [--tsa URL]
//
// IMAGE is HOST/NAME@DIGEST. Prints the digest of what it attached; ends with 1 where that fails
// (the reason on stderr) and with 2 for wrong usage.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { bundleToJSON } from "@sigstore/bundle";
import { attachArtifactToImage } from "@sigstore/oci";
import { DSSEBundleBuilder, FulcioSigner, RekorWitness, TSAWitness } from "@sigstore/sign";

const usage = "usage: attest.mjs STATEMENT IMAGE --fulcio URL --rekor URL --token JWT [--tsa URL]";

function readOptions() {
  const string = { type: "string" };
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { fulcio: string, rekor: string, tsa: string, token: string },
    });
    const [name, digest] = (positionals[1] ?? "").split("@");
    if (positionals.length !== 2 || !digest || !values.fulcio || !values.rekor || !values.token) {
      throw new Error(usage);
    }
    return { ...values, statement: positionals[0], name, digest };
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}

function builder(options) {
  const identityProvider = { getToken: async () => options.token };
  const witnesses = [new RekorWitness({ rekorBaseURL: options.rekor, entryType: "dsse" })];
  if (options.tsa) witnesses.push(new TSAWitness({ tsaBaseURL: options.tsa }));
  const signer = new FulcioSigner({ fulcioBaseURL: options.fulcio, identityProvider });
  return new DSSEBundleBuilder({ signer, witnesses });
}

async function attest(options) {
  const statement = readFileSync(options.statement);
  const bundle = await builder(options).create({ data: statement, type: "application/vnd.in-toto+json" });
  return attachArtifactToImage({
    imageName: options.name,
    imageDigest: options.digest,
    artifact: Buffer.from(JSON.stringify(bundleToJSON(bundle))),
    mediaType: bundle.mediaType,
    annotations: {
      "dev.sigstore.bundle.content": "dsse-envelope",
      "dev.sigstore.bundle.predicateType": JSON.parse(statement).predicateType,
    },
  });
}

const options = readOptions();
try {
  console.log((await attest(options)).digest);
} catch (error) {
  console.error(`${error.code ?? error.name}: ${error.message} ${error.cause?.message ?? ""}`);
  process.exit(1);
}
