-- Reads a call's sentiment, in whatever shape the analysis has it.
--
--   local sentiment = require "sentiment"
--   sentiment.of(call)      --> "negative", "neutral", "positive", or nil if nothing says it
--
-- Understood, under the names below, at any depth of `analysis`, or beside it:
--   a word or phrase, Dutch or English    "Negatief", "very negative", "niet tevreden"
--   a number from -1 to 1                 below -0.25 negative, above 0.25 positive
--   an object with a label or a score     {label = "negative", score = 0.93}, {score = 2, max = 5}
--   an object of shares                   {negative = 0.8, neutral = 0.15, positive = 0.05}
-- A number outside -1 to 1 says nothing without its scale (is 1 the worst of five stars or the best
-- of all?), and then the answer is nil: nobody is called back on a guess.
local sentiment = {}

local names = {
  "sentiment", "sentiment_label", "sentimentlabel", "customer_sentiment", "klantsentiment",
  "overall_sentiment", "stemming", "gevoel", "mood", "tone", "toon",
}

local polarity = {}
local function words(value, list)
  for w in list:gmatch("%S+") do polarity[w] = value end
end
words(-1, [[negative negatief negatieve angry upset frustrated frustrating unhappy dissatisfied
  disappointed irritated annoyed bad poor terrible awful hostile sad furious
  boos boze kwaad kwade woedend ontevreden gefrustreerd gefrustreerde teleurgesteld geirriteerd
  slecht slechte verdrietig ongelukkig vervelend]])
words(1, [[positive positief positieve happy satisfied pleased glad good great excellent friendly
  grateful content tevreden blij blije goed goede uitstekend vriendelijk enthousiast dankbaar]])
words(0, [[neutral neutraal neutrale mixed gemengd gemengde]])

local negators = { ["not"] = true, no = true, never = true, niet = true, geen = true, nooit = true }

-- -1, 0 or 1 for a phrase; nil if no word of it is known. "not" turns good into bad, and bad into
-- neither.
local function of_phrase(text)
  text = text:lower():gsub("ï", "i"):gsub("Ï", "i")
  local sum, known, negated = 0, false, 0
  for w in text:gmatch("%a+") do
    local p = polarity[w]
    if negators[w] then
      negated = 3 -- reaches two words further: "not very happy"
    elseif p then
      known = true
      sum = sum + (negated > 0 and (p > 0 and -1 or 0) or p)
    end
    negated = math.max(0, negated - 1)
  end
  if not known then return nil end
  return sum < 0 and -1 or sum > 0 and 1 or 0
end

local function of_number(n)
  if n < -1 or n > 1 then return nil end
  return n < -0.25 and -1 or n > 0.25 and 1 or 0
end

local of_value

-- {score = 2, max = 5}: the scale runs from min (1 if not given) to max.
local function of_score(t)
  local score = tonumber(t.score or t.value or t.compound)
  if not score then return nil end
  local low, high = tonumber(t.min) or 1, tonumber(t.max)
  if not high then return of_number(score) end
  if high <= low then return nil end
  return of_number((score - low) / (high - low) * 2 - 1)
end

local function of_shares(t)
  local best, found
  for key, share in pairs(t) do
    local p = type(key) == "string" and polarity[key:lower()]
    if p and type(share) == "number" and (not best or share > best) then best, found = share, p end
  end
  return found
end

local function of_object(t)
  for _, key in ipairs({ "label", "name", "category", "polarity", "sentiment", "value" }) do
    if type(t[key]) == "string" then
      local p = of_value(t[key])
      if p then return p end
    end
  end
  return of_shares(t) or of_score(t)
end

function of_value(value)
  if type(value) == "string" then
    local n = tonumber(value)
    if n then return of_number(n) end
    return of_phrase(value)
  end
  if type(value) == "number" then return of_number(value) end
  if type(value) == "table" then return of_object(value) end
end

local function search(t, depth)
  for _, name in ipairs(names) do
    for key, value in pairs(t) do
      if type(key) == "string" and key:lower() == name then
        local p = of_value(value)
        if p then return p end
      end
    end
  end
  if depth == 0 then return nil end
  for _, value in pairs(t) do
    local p = type(value) == "table" and search(value, depth - 1)
    if p then return p end
  end
end

function sentiment.of(call)
  local p
  local analysis = call.analysis
  if type(analysis) == "table" then
    -- where it mostly is: whoever asks why is told of that field, and not of all there is
    p = of_value(analysis.sentiment) or search(analysis, 3)
  end
  p = p or search({ sentiment = call.sentiment, stemming = call.stemming }, 0)
  return p and (p < 0 and "negative" or p > 0 and "positive" or "neutral") or nil
end

return sentiment
