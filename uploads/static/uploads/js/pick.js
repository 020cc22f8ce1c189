// @ts-check
/** How files get in: chosen, dropped anywhere (folders too), pasted, or from a phone's camera. */

/**
 * @typedef {import("./restore.js").Found} Found
 * @typedef {{found: Found[], missed: number, more: boolean}} Haul  `missed` cannot be read; `more`: not all were taken
 */

const MOST = 5000; // files of one drop: as many as may wait on the server

/** @param {(haul: Haul) => void} take  called with what comes; a dropped folder may hold no file at all */
export function watch(take) {
  for (const id of ["files", "folder", "camera"]) {
    const input = /** @type {HTMLInputElement} */ (document.getElementById(id));
    const chosen = () => {
      const files = [...(input.files ?? [])];
      input.value = ""; // so that the same file can be chosen again
      if (files.length) take(plain(files));
    };
    input.addEventListener("change", chosen);
    chosen(); // somebody may have been faster than this script
  }
  watchPicker(take);
  watchDrops(take);
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(plain(files));
  });
}

/** @param {File[]} files @returns {Haul} */
function plain(files) {
  return { found: files.slice(0, MOST).map((file) => ({ file })), missed: 0, more: files.length > MOST };
}

/**
 * Where the browser has a picker that gives handles, a file chosen with it can be found again on the next visit.
 * @param {(haul: Haul) => void} take
 */
function watchPicker(take) {
  const browser = /** @type {any} */ (window);
  if (!browser.showOpenFilePicker || matchMedia("(pointer: coarse)").matches) return; // a phone's own chooser offers more
  document.getElementById("files")?.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      /** @type {FileSystemFileHandle[]} */
      const handles = await browser.showOpenFilePicker({ multiple: true });
      const files = await Promise.all(handles.map((handle) => handle.getFile()));
      const haul = plain(files);
      haul.found.forEach((one, number) => (one.handle = handles[number]));
      take(haul);
    } catch (wrong) {
      if (!(wrong instanceof DOMException)) throw wrong; // nothing was chosen after all
    }
  });
}

/** @param {(haul: Haul) => void} take */
function watchDrops(take) {
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
    take(await haulOf(/** @type {DataTransfer} */ (event.dataTransfer)));
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
 * The files of a drop, those inside its folders too. All must be asked for before the first await.
 * @param {DataTransfer} transfer
 * @returns {Promise<Haul>}
 */
async function haulOf(transfer) {
  const files = [...transfer.files];
  const entries = [...transfer.items].map((/** @type {any} */ item) => ({
    entry: /** @type {FileSystemEntry | null} */ (item.webkitGetAsEntry?.() ?? null),
    handle: /** @type {Promise<any>} */ (item.getAsFileSystemHandle?.() ?? Promise.resolve(null)).catch(() => null),
  }));
  if (!entries.some(({ entry }) => entry)) return plain(files);
  /** @type {Haul} */
  const haul = { found: [], missed: 0, more: false };
  for (const { entry, handle } of entries) {
    if (entry) await walk(entry, entry.isFile ? await handle : null, haul);
  }
  return haul;
}

/**
 * @param {FileSystemEntry} entry
 * @param {FileSystemFileHandle | null} handle
 * @param {Haul} haul
 */
async function walk(entry, handle, haul) {
  if (haul.found.length >= MOST) {
    haul.more = true;
    return;
  }
  try {
    if (entry.isFile) {
      const one = /** @type {FileSystemFileEntry} */ (entry);
      /** @type {File} */
      const file = await new Promise((resolve, reject) => one.file(resolve, reject));
      haul.found.push({ file, handle, path: entry.fullPath?.slice(1) || file.name });
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    while (!haul.more) {
      /** @type {FileSystemEntry[]} */
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return; // it gives a hundred at a time
      for (const one of some) if (!haul.more) await walk(one, null, haul);
    }
  } catch (wrong) {
    if (!(wrong instanceof DOMException)) throw wrong;
    haul.missed += 1; // not ours to read, or gone meanwhile
  }
}
