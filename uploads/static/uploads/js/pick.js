// @ts-check
/** How files get in: chosen, dropped anywhere (folders too), or pasted. */

/**
 * @param {(files: File[]) => void} take
 * @param {() => void} emptyFolder  called where a folder was dropped that holds no file
 */
export function watch(take, emptyFolder) {
  for (const id of ["files", "folder"]) {
    const input = /** @type {HTMLInputElement} */ (document.getElementById(id));
    const chosen = () => {
      const files = [...(input.files ?? [])];
      input.value = ""; // so that the same file can be chosen again
      if (files.length) take(files);
    };
    input.addEventListener("change", chosen);
    chosen(); // somebody may have been faster than this script
  }
  const veil = /** @type {HTMLElement} */ (document.getElementById("veil"));
  let depth = 0; // dragenter and dragleave come for every element on the way
  const lift = () => {
    depth = 0;
    veil.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!bringsFiles(event)) return;
    event.preventDefault();
    depth += 1;
    veil.hidden = false;
  });
  addEventListener("dragover", (event) => {
    if (bringsFiles(event)) event.preventDefault();
  });
  addEventListener("dragleave", (event) => {
    if (bringsFiles(event) && --depth <= 0) lift();
  });
  addEventListener("drop", async (event) => {
    lift();
    if (!bringsFiles(event)) return;
    event.preventDefault();
    const files = await filesOf(/** @type {DataTransfer} */ (event.dataTransfer));
    if (files.length) take(files);
    else emptyFolder();
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
}

/**
 * @param {DragEvent} event
 * @returns {boolean}
 */
function bringsFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/**
 * The files of a drop, those inside its folders too. The entries must be asked for before the first await.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
async function filesOf(transfer) {
  const plain = [...transfer.files];
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return plain;
  /** @type {File[]} */
  const found = [];
  for (const entry of entries) if (entry) await walk(entry, found);
  return found;
}

/**
 * @param {FileSystemEntry} entry
 * @param {File[]} found
 */
async function walk(entry, found) {
  if (entry.isFile) {
    const file = /** @type {FileSystemFileEntry} */ (entry);
    found.push(await new Promise((resolve, reject) => file.file(resolve, reject)));
    return;
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return; // it gives a hundred at a time
    for (const one of some) await walk(one, found);
  }
}
