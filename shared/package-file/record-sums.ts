import type { PackageFileHead, PackageFileRecord } from './package-file-format.ts';

const summedFields = [
  'fileCount',
  'fileBytes',
  'deltaCount',
  'deltaBytes',
  'patchCount',
  'patchBytes',
  'madeBytes',
] as const satisfies readonly (keyof PackageFileHead)[];

/** What a head says of all records together. */
export type RecordSums = Pick<PackageFileHead, (typeof summedFields)[number]>;

/** Adds up what the head of a package file says of its records. */
export class RecordSummer {
  readonly #sums = {
    ...{ fileCount: 0, fileBytes: 0, deltaCount: 0, deltaBytes: 0 },
    ...{ patchCount: 0, patchBytes: 0, madeBytes: 0 },
  };

  get sums(): RecordSums {
    return { ...this.#sums };
  }

  add(record: PackageFileRecord): void {
    const sums = this.#sums;
    if (record.kind === 'file') {
      sums.fileCount += 1;
      sums.fileBytes += record.sizeBytes;
    } else if (record.kind === 'delta') {
      sums.deltaCount += 1;
      sums.deltaBytes += record.delta.deltaBytes;
      sums.madeBytes += record.delta.fileBytes;
    } else if (record.kind === 'patch') {
      sums.patchCount += 1;
      sums.patchBytes += record.patch.patchBytes;
      sums.madeBytes += record.patch.fileBytes;
    }
  }

  /** A field in which there is more than a head says. */
  excessOver(head: RecordSums): string | undefined {
    return summedFields.find((field) => this.#sums[field] > head[field]);
  }

  /** A field in which it is not what a head says. */
  differenceFrom(head: RecordSums): string | undefined {
    return summedFields.find((field) => this.#sums[field] !== head[field]);
  }
}
