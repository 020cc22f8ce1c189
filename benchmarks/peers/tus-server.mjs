// The peer of the resumable uploads: @tus/server over @tus/file-store, as their documentation starts them.
// Arguments: PORT FOLDER [fsync]. With `fsync` a finished upload is answered once file and name are durable.
import http from 'node:http';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, folder, how] = process.argv.slice(2);
// Installed in the working directory, not beside this script.
const installed = createRequire(pathToFileURL(`${process.cwd()}/package.json`));
const load = async (name) => import(pathToFileURL(installed.resolve(name)));
const { Server } = await load('@tus/server');
const { FileStore } = await load('@tus/file-store');

async function sync(path) {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function onUploadFinish(_request, upload) {
  await sync(upload.storage.path);
  await sync(dirname(upload.storage.path));
  return {};
}

const tus = new Server({
  path: '/files',
  datastore: new FileStore({ directory: folder }),
  ...(how === 'fsync' ? { onUploadFinish } : {}),
});
http.createServer((request, response) => tus.handle(request, response)).listen(Number(port), '127.0.0.1');
