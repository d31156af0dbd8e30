import type { ManifestPlace } from '../../shared/content-library/changed-files.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { VersionHistory } from '../../shared/package-file/version-history.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { PackageStore } from './package-store.ts';

/** What recording versions needs. */
export interface VersionRecorderComponents {
  readonly packages: Pick<PackageStore, 'packages'>;
  readonly library: {
    getPackage(packageId: string): Promise<PackageVersion | undefined>;
    openContent(contentId: string): Promise<KeptContent>;
  };
  readonly history: Pick<VersionHistory, 'record' | 'forget'>;
  readonly sites: Pick<SiteDirectory, 'tree'>;
  readonly logger: Logger;
  readonly siteCode: string;
}

/** A content that stays in the library until it is disposed of. */
type KeptContent = ManifestPlace & AsyncDisposable;

/** The contents of a version, kept until it is recorded what became of them in the next one. */
export class KeptContents implements AsyncDisposable {
  readonly contents: readonly KeptContent[];

  constructor(contents: readonly KeptContent[]) {
    this.contents = contents;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const content of this.contents) await content[Symbol.asyncDispose]();
  }
}

/**
 * Remembers what the versions of this site's packages consist of, while they are in the library, so
 * that other sites can later be sent only what changed since (REP-2). A version that could not be
 * recorded costs a full package file. Where there is one site only, nothing is recorded.
 */
export class VersionRecorder {
  readonly #components: VersionRecorderComponents;

  constructor(components: VersionRecorderComponents) {
    this.#components = components;
  }

  /** Keeps the contents of the version that is here, while another one may take its place. */
  async keep(packageId: string): Promise<KeptContents> {
    const { packages, library } = this.#components;
    const kept: KeptContent[] = [];
    if (this.#isRecorded(await packages.packages.get(packageId))) {
      for (const { contentId } of (await library.getPackage(packageId))?.contents ?? []) {
        // One that is gone already is no base any more.
        const content = await library.openContent(contentId).catch(unlessExpected);
        if (content) kept.push(content);
      }
    }
    return new KeptContents(kept);
  }

  /**
   * @param before what was kept before the newest version came
   * @throws AbortError when the signal fires
   */
  async record(packageId: string, before: KeptContents, signal: AbortSignal): Promise<void> {
    const { packages, history, library } = this.#components;
    const sitePackage = await packages.packages.get(packageId);
    if (!sitePackage || isLeaving(sitePackage)) return history.forget(packageId);
    if (!this.#isRecorded(sitePackage)) return;
    try {
      const version = await library.getPackage(packageId);
      if (version) await history.record(version, { before: before.contents, signal });
    } catch (err) {
      unlessExpected(err);
      this.#components.logger.warn({ packageId, err }, 'Package version could not be recorded');
    }
  }

  #isRecorded(sitePackage: SitePackage | undefined): boolean {
    const { sites, siteCode } = this.#components;
    const isAlone = sites.tree.list().length <= 1;
    return !isAlone && sitePackage?.sourceSiteCode === siteCode;
  }
}

function unlessExpected(error: unknown): undefined {
  if (!(error instanceof WaybillError)) throw error;
}
