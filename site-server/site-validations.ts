/** The wiring of what validates content: requests, results, what administrators ask of them. */
import { randomUUID } from 'node:crypto';
import { ContentValidation } from '../shared/content-validation/content-validation.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { SerialCounter } from '../shared/state-store/serial-counter.ts';
import { DistributionPointLibraries } from './admin-service/distribution-point-libraries.ts';
import { ValidationAnswers } from './admin-service/validation-answers.ts';
import { OwnValidations } from './content-validation/own-validations.ts';
import { ValidationRequests } from './content-validation/validation-requests.ts';
import { ValidationResults } from './content-validation/validation-results.ts';
import { ValidationTimer } from './content-validation/validation-timer.ts';
import { OwnContents } from './hierarchy-manager/own-contents.ts';
import type { JobTable } from './package-transfer-manager/job-table.ts';
import type { Ground } from './site-ground.ts';

export interface SiteValidations {
  readonly results: ValidationResults;
  readonly answers: ValidationAnswers;
  readonly libraries: DistributionPointLibraries;
  /** Of the library of the site itself. */
  readonly own: OwnValidations;
  /** Start after Package Transfer Manager. */
  readonly components: readonly Component[];
}

/** Makes the parts of a site that validate content. */
export function siteValidations(
  ground: Ground,
  others: { readonly jobs: JobTable; readonly jobSerials: SerialCounter },
): SiteValidations {
  const logger = ground.logOf('content-validation');
  const validation = new ContentValidation({ ...ground, logger }, ground.config);
  const contents = new OwnContents(ground);
  const ownValidations = new OwnValidations({ ...ground, contents, validation, logger });
  return {
    results: new ValidationResults(ground),
    own: ownValidations,
    libraries: new DistributionPointLibraries({ ...ground, ...others }),
    answers: new ValidationAnswers({ ...ground, ownValidations, newUuid: randomUUID }),
    components: [
      new ValidationRequests({ ...ground, ...others, logger }),
      new ValidationTimer({ ...ground, logger }),
      validation,
      ownValidations,
    ],
  };
}
