-- luacheck: std rules
-- Matches: patterns over the whole transcription, then a third patch of the same record.
rule "Notice a silent line" {
  on   = "call_*",
  when = function(call) return type(call.transcription) == "string" end,
  run  = function(call)
    local hellos, lines = 0, 0
    for line in call.transcription:gmatch("[^\n]+") do
      lines = lines + 1
      if line:find("Caller: Hello?", 1, true) then hellos = hellos + 1 end
    end
    if hellos > 1 or call.transcription:find("can[^ ]*t hear") then
      records.patch("calls", call.call_id, { silent_line = true, lines = lines })
    end
  end,
}
