-- luacheck: std rules
-- Matches: a second patch of the same record.
rule "Count what is to be done" {
  on   = "call_postprocess",
  when = function(call)
    local items = get(call, "analysis.actiepunten")
    return type(items) == "table" and #items > 0
  end,
  run  = function(call)
    local items = call.analysis.actiepunten
    records.patch("calls", call.call_id, { to_do = #items, first_to_do = items[1] })
  end,
}
