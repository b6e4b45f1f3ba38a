// @ts-check
/** Files that somebody chose or dropped, with the folders that they lie in. */

/** @typedef {{file: File, path: string}} Chosen */

/** @param {FileList | null} files of an input @returns {Chosen[]} */
export function filesOfInput(files) {
  return [...(files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

/**
 * @param {DataTransfer} dropped
 * @returns {Promise<Chosen[]>} all files, those in dropped folders too
 */
export async function filesOfDrop(dropped) {
  // Taken now: after the event the browser gives nothing away any more.
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry());
  const plain = filesOfInput(dropped.files);
  if (!entries.some((entry) => entry?.isDirectory)) return plain;
  const found = await Promise.all(
    entries.filter((entry) => entry !== null).map((entry) => filesOfEntry(entry, "")),
  );
  return found.flat();
}

/** @param {FileSystemEntry} entry @param {string} folder @returns {Promise<Chosen[]>} */
async function filesOfEntry(entry, folder) {
  const path = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) =>
      /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject),
    );
    return [{ file: /** @type {File} */ (file), path }];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  /** @type {Chosen[]} */
  const found = [];
  for (;;) {
    // A hundred at most each time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    const entries = /** @type {FileSystemEntry[]} */ (some);
    if (entries.length === 0) return found;
    for (const inner of entries) found.push(...(await filesOfEntry(inner, `${path}/`)));
  }
}
