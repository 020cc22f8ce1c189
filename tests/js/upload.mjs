// Sends a file with tus-js-client: node upload.mjs ENDPOINT TOKEN FILE OPTIONS_AS_JSON; prints the upload's URL.
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { PassThrough } from "node:stream";
import { Upload } from "tus-js-client";

const [endpoint, token, file, options] = process.argv.slice(2);
const wanted = JSON.parse(options);
// Of a file the client knows the length after all, and then announces more bytes than there are.
const source = wanted.uploadLengthDeferred ? createReadStream(file).pipe(new PassThrough()) : createReadStream(file);
const upload = new Upload(source, {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: basename(file), filetype: "application/octet-stream" },
  retryDelays: Array(30).fill(50),
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => console.log(upload.url),
  ...wanted,
});
upload.start();
