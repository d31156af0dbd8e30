/** The wiring of what says what would travel (docs/controls.md, 7). */
import { join } from 'node:path';
import type { VersionHistory } from '../shared/package-file/version-history.ts';
import type { Ground } from './site-ground.ts';
import { ownPlacesOf } from './site-places.ts';
import {
  defaultTransferPreviewConfig,
  TransferPreview,
} from './transfer-preview/transfer-preview.ts';

/** Makes it; its scratch directory is its own. */
export function transferPreview(ground: Ground, versions: VersionHistory): TransferPreview {
  const { dataDirectory, distribution } = ground.config;
  const scratchDirectory = join(dataDirectory, 'previews');
  const { callDeadlineMs } = distribution;
  const live = ground.settings.live('distribution');
  return new TransferPreview(
    { ...ground, versions, scratchDirectory, ownPlaces: ownPlacesOf(ground.config) },
    {
      ...{ ...defaultTransferPreviewConfig, callDeadlineMs },
      get distributionPointsPerPackageMax() {
        return live.distributionPointsPerPackageMax;
      },
    },
  );
}
