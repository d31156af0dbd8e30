import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { FileSum, LibrarySurvey } from '../../shared/content-library/library-survey.ts';
import type {
  ContentValidation,
  ValidationWord,
} from '../../shared/content-validation/content-validation.ts';
import { bytesPerSecondMax } from '../../shared/domain/transfer-controls.ts';
import { requireAction, requireCount } from '../../shared/package-info/package-version.ts';
import { toReportMessage } from '../../shared/package-info/validation-report-message.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { LibrarySurvey as LibrarySurveyMessage } from '../../shared/rpc/generated/waybill/v1/LibrarySurvey.ts';
import type { SweepLibraryRequest__Output } from '../../shared/rpc/generated/waybill/v1/SweepLibraryRequest.ts';
import type { ValidateRequest__Output } from '../../shared/rpc/generated/waybill/v1/ValidateRequest.ts';
import type { ValidateResponse } from '../../shared/rpc/generated/waybill/v1/ValidateResponse.ts';

/** What of the DistributionPoint conversation is about the upkeep of the library: validation, sweep. */
export function validationConversation(
  validation: Pick<ContentValidation, 'validate'>,
  library: Pick<ContentLibrary, 'sweep' | 'upkeep'>,
): Pick<Conversation<'DistributionPoint'>, 'validate' | 'sweepLibrary'> {
  return {
    async sweepLibrary({ dryRun }: SweepLibraryRequest__Output) {
      if (!dryRun) await library.sweep();
      return toSurveyMessage(await library.upkeep.survey());
    },

    async *validate(request: ValidateRequest__Output, { signal }) {
      const action = requireAction(request.action);
      const range = { min: 0, max: bytesPerSecondMax };
      const bytesPerSecond = requireCount('bytes_per_second', request.bytesPerSecond, range);
      for await (const word of validation.validate({ ...action, bytesPerSecond }, signal)) {
        yield toMessage(word);
      }
    },
  };
}

function toSurveyMessage(survey: LibrarySurvey): LibrarySurveyMessage {
  const { isIndexComplete, unused, due, foreignCount, setAside } = survey;
  return {
    isIndexComplete,
    ...{ unused: sumOf(unused), due: sumOf(due), setAside: sumOf(setAside) },
    foreignFiles: foreignCount,
    stagedPackages: survey.stagedCount,
    stalePackages: survey.staleCount,
    leftoverContents: survey.leftoverCount,
  };
}

function sumOf({ count, bytes }: FileSum): FileSum {
  return { count, bytes };
}

function toMessage(word: ValidationWord): ValidateResponse {
  if (word.kind === 'report') return { report: toReportMessage(word.report) };
  const { doneBytes, totalBytes, unsoundCount: unsoundFiles } = word.progress;
  return { progress: { doneBytes, totalBytes, unsoundFiles } };
}
