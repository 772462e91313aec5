-- Send a webphone's day to a running engine and show, event by event, what the rules did.
-- usage: lua show.lua BINARY DATA_DIR URL; exit 1 with what is missing.
local cjson = require "cjson"
local binary, data, url = arg[1], arg[2], arg[3]

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- The JSON lines that a subcommand prints, one by one as they come.
local function each(...)
    local words = { quote(binary) }
    for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
    local pipe = assert(io.popen(table.concat(words, " ") .. " --json 2>/dev/null"))
    return function()
        local line = pipe:read "l"
        if line then return cjson.decode(line) end
        pipe:close()
    end
end

local function rows(...)
    local list = {}
    for row in each(...) do list[#list + 1] = row end
    return list
end

local function listing(what, ...) return rows(what, "--data", data, ...) end

local colour = os.getenv "TERM" and not os.getenv "NO_COLOR" and
    os.execute "test -t 1" and true or false
local function paint(code, text) return colour and ("\27[" .. code .. "m" .. text .. "\27[0m") or text end

local function wait_for(question)
    for _ = 1, 100 do
        local answer = question()
        if answer then return answer end
        os.execute "sleep 0.1"
    end
end

local function text(value)
    if value == nil or value == cjson.null then return nil end
    return tostring(math.type(value) == "float" and math.tointeger(value) or value)
end

local function short(value, length)
    value = text(value) or ""
    if utf8.len(value) and utf8.len(value) > length then
        value = value:sub(1, utf8.offset(value, length) - 1) .. "…"
    end
    return value
end

local seen = { callbacks = 0, emails = 0, duplicates = 0, refused = 0, records = 0 }

-- The fields worth a line, in this order; of other collections all, by name.
local fields = {
    calls = { "status", "remote_name", "remote_number", "call_result", "duration_sec", "sentiment", "follow_up" },
    tasks = { "status", "text", "owner" },
}

local function show_record(effect)
    local row = listing("records", effect.collection, "--id", effect.id)[1]
    if not row then return end
    local parts, names = {}, fields[effect.collection]
    if not names then
        names = {}
        for name in pairs(row.doc) do names[#names + 1] = name end
        table.sort(names)
    end
    for _, name in ipairs(names) do
        local value = row.doc[name]
        if type(value) == "table" then value = #value .. " items" end
        if text(value) then parts[#parts + 1] = name .. "=" .. short(value, 48) end
    end
    seen.records = seen.records + 1
    print(("     record    %s/%s  %s"):format(effect.collection, effect.id, table.concat(parts, "  ")))
end

local show = {}
show["records.put"], show["records.patch"] = show_record, show_record
function show.callback(_, callbacks)
    local c = table.remove(callbacks, 1)
    if not c then return end
    seen.callbacks = seen.callbacks + 1
    print(("     callback  %s %s, due %s, for %s: %s"):format(c.number, text(c.name) or "", c.due_at,
        text(c.assignee) or "anyone", short(c.reason, 100)))
end
function show.email(_, _, mails)
    local m = table.remove(mails, 1)
    if not m then return end
    local file = listing("outbox", "--id", m.id)[1].sent_to
    seen.emails = seen.emails + (m.state == "sent" and 1 or 0)
    print(("     email     to %s, %s: %s"):format(m.to, m.state, text(file) or text(m.error) or "?"))
end

function show.timer(effect)
    print(("     timer     %s, due %s"):format(text(effect.name) or effect.type, effect.due_at))
end

local function show_event(answer)
    local event = wait_for(function()
        local row = listing("events", "--id", answer.id)[1]
        return row and row.state ~= "stored" and row
    end)
    if not event then return print(paint(31, "     its rules have not run within 10 s")) end
    wait_for(function()
        for _, m in ipairs(listing("outbox", "--event", answer.id)) do
            if m.state == "queued" then return false end
        end
        return true
    end)
    local callbacks, mails = listing("callbacks", "--event", answer.id), listing("outbox", "--event", answer.id)
    local shown = {} -- a record that two rules wrote is shown once
    for _, run in ipairs(listing("runs", "--event", answer.id)) do
        print("   " .. paint(36, run.rule) .. (run.outcome ~= "done" and " " .. paint(31, run.outcome) or ""))
        if text(run.error) then print("     error     " .. run.error) end
        for _, effect in ipairs(run.effects) do
            local name = (effect.collection or "") .. "/" .. (effect.id or "")
            if show[effect.kind] and not shown[name] then show[effect.kind](effect, callbacks, mails) end
            shown[name] = effect.collection ~= nil
        end
    end
end

print()
local i = 0
for answer in each("send", "--day", "--pause", "600ms", "--to", url) do
    i = i + 1
    print(paint(1, ("%d. %s"):format(i, answer.file)))
    if answer.duplicate then
        seen.duplicates = seen.duplicates + 1
        print("   recognised as a repeat of " .. answer.id .. ": nothing is done twice")
    elseif answer.id then
        print("   200, stored as " .. answer.id)
        show_event(answer)
    elseif answer.error then
        seen.refused = seen.refused + (answer.error.code == "invalid_json" and 1 or 0)
        print(("   %d, refused: %s (line %s, column %s)"):format(answer.status, answer.error.message,
            text(answer.error.line) or "?", text(answer.error.column) or "?"))
    else
        print(paint(31, "   no answer"))
    end
end

local calls = listing("records", "calls")
local missing = {}
local function expect(condition, what)
    if not condition then missing[#missing + 1] = what end
end
local function find(list, field, value)
    for _, row in ipairs(list) do
        if row[field] == value then return row end
    end
end
expect(#calls == 3, ("a record for each of the 3 calls (there are %d)"):format(#calls))
expect(seen.callbacks == 2,
    ("a callback for the unhappy customer and one for the missed call (there are %d)"):format(seen.callbacks))
expect(seen.emails >= 1, "an email that left as a file")
expect(seen.duplicates == 1, "the repeated event recognised")
expect(seen.refused == 1, "the broken JSON refused")
expect(#listing("records", "tasks") >= 1, "tasks out of the action points")
expect(not find(listing "events", "state", "dead") and not find(listing "events", "state", "stored"),
    "every event done")
local eml = io.popen("ls " .. quote(data) .. "/mail/*.eml 2>/dev/null"):read "l"
expect(eml, "an .eml file in " .. data .. "/mail")

print()
for _, what in ipairs(missing) do print(paint(31, "missing: " .. what)) end
if #missing > 0 then os.exit(1) end
print(paint(32, ("All as it should be: %d calls on record, %d callbacks, %d email(s), 1 repeat, 1 refusal.")
    :format(#calls, seen.callbacks, seen.emails)))
