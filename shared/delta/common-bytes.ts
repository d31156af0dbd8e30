/** How many bytes at the beginning of both are the same. */
export function commonStart(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  // Long steps first: what is the same is compared much faster than it is counted.
  for (let step = 65_536; step >= 64; step /= 8) {
    while (at + step <= length && isSame(a.subarray(at, at + step), b.subarray(at, at + step))) {
      at += step;
    }
  }
  while (at < length && a[at] === b[at]) at++;
  return at;
}

/** How many bytes at the end of both are the same. */
export function commonEnd(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  let count = 0;
  while (count < length && a[a.length - 1 - count] === b[b.length - 1 - count]) count++;
  return count;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/**
 * The first position from which so many bytes of both are the same; undefined when there is none.
 */
export function commonRun(a: Uint8Array, b: Uint8Array, runBytes: number): number | undefined {
  const length = Math.min(a.length, b.length);
  let run = 0;
  for (let at = 0; at < length; at++) {
    run = a[at] === b[at] ? run + 1 : 0;
    if (run === runBytes) return at + 1 - runBytes;
  }
  return undefined;
}
