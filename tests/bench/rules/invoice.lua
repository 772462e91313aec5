-- luacheck: std rules
-- SPDX-License-Identifier: MIT
-- invoice: a word in the transcription. Looks through the text; does not match the sample.
rule "Pass questions about invoices on" {
  on   = "call_postprocess",
  when = function(call)
    local text = (call.transcription or ""):lower()
    return text:find("invoice", 1, true) or text:find("factuur", 1, true)
  end,
  run  = function(call)
    email {
      to = "invoices@example.org",
      subject = "{{remote_name}} asked about an invoice",
      text = "{{analysis.samenvatting}}",
      with = call,
    }
  end,
}
