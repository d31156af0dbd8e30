import type { ContentDescriptor, InlineManifest } from '../domain/content.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import type {
  ContentInspection,
  ManifestSources,
  WantedEntry,
  WantedUnits,
} from './content-inspection.ts';
import { type IncomingManifests, requireContent } from './incoming-manifests.ts';
import type { BegunAction, PackageAction, PackageActions } from './package-actions.ts';
import type { Redistributions } from './redistributions.ts';

/** What the wants of actions are found out with. */
export interface WantedContentComponents {
  readonly actions: Pick<PackageActions, 'require'>;
  readonly manifests: Pick<IncomingManifests, 'find' | 'distrust'>;
  readonly inspection: Pick<ContentInspection, 'wantedFiles' | 'wantedUnits'>;
  readonly redistributions: Pick<Redistributions, 'writtenIn'>;
  /** Runs a step while nobody else changes anything of the package. */
  readonly inTurn: (action: PackageAction, step: () => Promise<void>) => Promise<void>;
}

/** What is wanted of a content. */
export interface InspectedContent {
  readonly contentId: string;
  readonly wanted: WantedEntry[];
}

/** Content that is inspected in answer to Begin, in bytes: as much is verified in a moment. */
const beginInspectionBytesMax = 16 * 1024 * 1024;

/** Says what actions that have begun want. A manifest that turns out damaged has to come again. */
export class WantedContent {
  readonly #needs: WantedContentComponents;

  constructor(needs: WantedContentComponents) {
    this.#needs = needs;
  }

  /** See `PackageReceiver.inspect`. */
  files(action: PackageAction, contentId: string): AsyncGenerator<WantedEntry[]> {
    return this.#read(action, contentId, (begun, content, sources) =>
      this.#filesOf(begun, content, sources),
    );
  }

  /** See `PackageReceiver.wantedFiles`. */
  units(action: PackageAction, contentId: string): AsyncGenerator<WantedUnits> {
    return this.#read(action, contentId, ({ packageId }, content, sources) => {
      const { inspection, redistributions } = this.#needs;
      const isRewritten = redistributions.writtenIn(packageId);
      return inspection.wantedUnits(packageId, content, sources, isRewritten);
    });
  }

  /**
   * What is wanted of contents whose manifests came with Begin. Of large contents nothing is said:
   * what is left of them here may take long to verify.
   */
  async ofInline(
    begun: BegunAction,
    inline: readonly InlineManifest[],
  ): Promise<InspectedContent[]> {
    const { actions } = this.#needs;
    const inspected: InspectedContent[] = [];
    let bytesLeft = beginInspectionBytesMax;
    for (const sources of inline) {
      const content = requireContent(begun, sources.contentId);
      if (content.sizeBytes > bytesLeft) continue;
      bytesLeft -= content.sizeBytes;
      const wanted: WantedEntry[] = [];
      // Nobody ends this when the site does not wait any more, but a newer action.
      actions.require(begun);
      for await (const part of this.#filesOf(begun, content, sources)) {
        actions.require(begun);
        wanted.push(...part);
      }
      inspected.push({ contentId: content.contentId, wanted });
    }
    return inspected;
  }

  async *#read<T>(
    action: PackageAction,
    contentId: string,
    read: (
      begun: BegunAction,
      content: ContentDescriptor,
      sources: ManifestSources,
    ) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    const { actions, manifests, inTurn } = this.#needs;
    const begun = actions.require(action);
    const content = requireContent(begun, contentId);
    const files = await manifests.find(begun, content);
    if (!files) throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
    const sources = { manifest: files.manifestPath, signature: files.signaturePath };
    try {
      yield* read(begun, content, sources);
    } catch (error) {
      const isDamaged = isErrorWithCode(error, 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH');
      if (isDamaged || isErrorWithCode(error, 'CONTENT_NOT_HELD')) {
        await inTurn(begun, () => manifests.distrust(begun, content));
      }
      throw error;
    }
  }

  #filesOf(
    { packageId }: BegunAction,
    content: ContentDescriptor,
    sources: ManifestSources,
  ): AsyncGenerator<WantedEntry[]> {
    const { inspection, redistributions } = this.#needs;
    const isRewritten = redistributions.writtenIn(packageId);
    return inspection.wantedFiles(packageId, content, sources, isRewritten);
  }
}
