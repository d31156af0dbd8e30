const decimal = { '': 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 } as const;
const binary = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4 } as const;
const factors: Readonly<Record<string, number>> = { ...decimal, ...binary };
const bitsOfByte = 8;

/**
 * Bytes per second of a text such as `10MB/s`, `1.5 MiB/s` or, as lines are sold, `8Mbit/s`; rounded
 * to whole bytes. Undefined when it is none.
 */
export function parseRate(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([kKMGT]i?|)(B|bit)\/s$/.exec(text);
  const factor = factors[match?.[2] ?? 'none'];
  if (!match || factor === undefined) return undefined;
  return Math.round((Number(match[1]) * factor) / (match[3] === 'bit' ? bitsOfByte : 1));
}

/** Bytes of a text such as `64KiB`, `1.5 MB` or `4096 B`; undefined when it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([kKMGT]i?|)B$/.exec(text);
  const factor = factors[match?.[2] ?? 'none'];
  return match && factor !== undefined ? Math.round(Number(match[1]) * factor) : undefined;
}

/** The same rate as a text that `parseRate` reads: `10 MB/s`, `1 MiB/s`, `1234567 B/s`. */
export function toExactRateText(bytesPerSecond: number): string {
  return `${toExactBytesText(bytesPerSecond)}/s`;
}

/** The same number of bytes as a text that `parseBytes` reads: `1 MiB`, `1.5 MB`, `1234567 B`. */
export function toExactBytesText(bytes: number): string {
  // Up to three digits after the point are still read at a glance.
  if (bytes % 1000 === 0) return inUnit(bytes, ['TB', 'GB', 'MB', 'kB'], 1 / 1000);
  if (bytes % 1024 === 0) return inUnit(bytes, ['TiB', 'GiB', 'MiB', 'KiB'], 1);
  return `${bytes} B`;
}

function inUnit(bytes: number, units: readonly string[], step: number): string {
  for (const unit of units) {
    const factor = factors[unit.slice(0, -1)] ?? 1;
    if (bytes >= factor && bytes % (factor * step) === 0) return `${bytes / factor} ${unit}`;
  }
  return `${bytes} B`;
}
