import { z } from 'zod';
import { addressForm, isListenAddress } from '../domain/distribution-point.ts';

/** The part `metrics` of an agent's configuration. */
export const metricsSettings = z
  .strictObject({
    listen: z
      .string()
      .refine(isListenAddress, `${addressForm}; port 0 for any`)
      .optional()
      .describe(
        'Address and port where metrics can be read, such as `127.0.0.1:9464`: plain HTTP, and everybody who reaches it may read them (metrics.md). Nowhere when it is left out.',
      ),
  })
  .prefault({});
