import type {
  ContentValidation,
  ValidationWord,
} from '../../shared/content-validation/content-validation.ts';
import { bytesPerSecondMax } from '../../shared/domain/transfer-controls.ts';
import { requireAction, requireCount } from '../../shared/package-info/package-version.ts';
import { toReportMessage } from '../../shared/package-info/validation-report-message.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { ValidateRequest__Output } from '../../shared/rpc/generated/waybill/v1/ValidateRequest.ts';
import type { ValidateResponse } from '../../shared/rpc/generated/waybill/v1/ValidateResponse.ts';

/** What of the DistributionPoint conversation is about validation: wire to content validation and back. */
export function validationConversation(
  validation: Pick<ContentValidation, 'validate'>,
): Pick<Conversation<'DistributionPoint'>, 'validate'> {
  return {
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

function toMessage(word: ValidationWord): ValidateResponse {
  if (word.kind === 'report') return { report: toReportMessage(word.report) };
  const { doneBytes, totalBytes, unsoundCount: unsoundFiles } = word.progress;
  return { progress: { doneBytes, totalBytes, unsoundFiles } };
}
