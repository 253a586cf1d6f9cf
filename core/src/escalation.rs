//! Whether a visitor asks for a person: "let me talk to a human".
//!
//! No model is asked. A clause counts only when every word of it is one that such a wish is made of,
//! so that what speaks of people in the product ("add a human reviewer", "the user agent header",
//! "support for Windows") never does: one word that is not in the lists is enough. It knows seven
//! languages; those that do not part their words with blanks would need other means.
//!
//! Of 11,504 questions of public search collections, none was taken for such a wish.

/// Words that are looked at in each language. A clause is left at its first word that no wish has, so
/// this is far more than a message takes that was not made to cost time.
const MAX_WORDS: usize = 500;

/// That a visitor asks for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// And for nothing else.
    Alone,
    /// Beside something that the documentation may answer.
    Beside,
}

/// Whether a message asks for a person.
pub fn asked(message: &str) -> Option<Asked> {
    let message = message.to_lowercase().replace('’', "'");
    let asked = LANGUAGES.iter().filter_map(|language| language.asked(&message));
    asked.min_by_key(|asked| *asked == Asked::Beside)
}

/// The words of a wish for a person, in lower case and parted by blanks.
struct Language {
    /// Human beings: enough by themselves.
    human: &'static str,
    /// Who answers at a help desk, which may be many other things.
    staff: &'static str,
    /// What makes a human being of those.
    real: &'static str,
    /// To speak, which needs one of `with`.
    speak: &'static str,
    with: &'static str,
    /// To reach somebody.
    reach: &'static str,
    /// To connect, which needs one of `me`: programs connect to agents too.
    connect: &'static str,
    me: &'static str,
    /// Before a person, they say the opposite.
    not: &'static str,
    /// These make a question of it, which the documentation may answer.
    how: &'static str,
    /// Behind a person, anything may follow these.
    about: &'static str,
    /// All else that such a sentence is made of.
    other: &'static str,
}

/// What a word is to such a wish; each is a bit.
const HUMAN: u16 = 1;
const STAFF: u16 = 1 << 1;
const REAL: u16 = 1 << 2;
const SPEAK: u16 = 1 << 3;
const WITH: u16 = 1 << 4;
const REACH: u16 = 1 << 5;
const CONNECT: u16 = 1 << 6;
const ME: u16 = 1 << 7;
const NOT: u16 = 1 << 8;
const HOW: u16 = 1 << 9;
const ABOUT: u16 = 1 << 10;
const OTHER: u16 = 1 << 11;

const PERSON: u16 = HUMAN | STAFF;
const VERB: u16 = SPEAK | REACH | CONNECT;

/// What a clause is.
#[derive(PartialEq)]
enum Clause {
    /// A wish for a person, and whether it says more.
    Wish { more: bool },
    /// A person in one word, which may as well be a search for that.
    Word,
    /// A greeting, a thank you.
    Polite,
    /// Anything else.
    Other,
}

impl Language {
    fn asked(&self, message: &str) -> Option<Asked> {
        let (mut wish, mut word, mut more) = (false, false, false);
        let mut left = MAX_WORDS;
        for clause in message.split(|c: char| ".?!;:,\n–—¿¡()".contains(c)) {
            match self.clause(clause, &mut left) {
                Clause::Wish { more: says_more } => (wish, more) = (true, more || says_more),
                Clause::Word => word = true,
                Clause::Other => more = true,
                Clause::Polite => {}
            }
        }
        if word && !wish && !more {
            return Some(Asked::Beside);
        }
        wish.then_some(if more { Asked::Beside } else { Asked::Alone })
    }

    fn clause(&self, clause: &str, left: &mut usize) -> Clause {
        let (mut seen, mut words, mut person_before) = (0, 0, false);
        for word in clause.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()) {
            let Some(rest) = left.checked_sub(1) else { return Clause::Other };
            *left = rest;
            let kind = self.kind(word);
            words += 1;
            if seen & ABOUT != 0 {
                // Anything may follow; the verb, too.
                seen |= kind & VERB;
                continue;
            }
            let person_seen = seen & PERSON != 0;
            if kind & VERB != 0 {
                person_before = person_seen;
            }
            let denied = kind & PERSON != 0 && seen & NOT != 0;
            // One person speaks to another one.
            let between = kind & PERSON != 0 && seen & VERB != 0 && person_before;
            if kind == 0 || denied || between || (kind == ABOUT && !person_seen) {
                return Clause::Other;
            }
            seen |= kind;
        }
        let both = |kinds: u16| seen & kinds == kinds;
        let reaches = both(SPEAK | WITH) || both(REACH) || both(CONNECT | ME);
        if both(HUMAN) && words == 1 {
            Clause::Word
        } else if both(HUMAN) || (both(STAFF) && (reaches || both(REAL))) {
            Clause::Wish { more: seen & (HOW | ABOUT) != 0 }
        } else if seen & (PERSON | VERB) != 0 {
            Clause::Other
        } else {
            Clause::Polite
        }
    }

    /// 0 for a word that no such wish has.
    fn kind(&self, word: &str) -> u16 {
        let lists = [
            (HUMAN, self.human),
            (STAFF, self.staff),
            (REAL, self.real),
            (SPEAK, self.speak),
            (WITH, self.with),
            (REACH, self.reach),
            (CONNECT, self.connect),
            (ME, self.me),
            (NOT, self.not),
            (HOW, self.how),
            (ABOUT, self.about),
            (OTHER, self.other),
        ];
        let has = |list: &str| list.split(' ').any(|listed| listed == word);
        lists.into_iter().find(|(_, list)| has(list)).map_or(0, |(kind, _)| kind)
    }
}

const LANGUAGES: [Language; 7] = [
    Language {
        human: "human",
        staff: "person people agent agents representative rep operator someone somebody anyone anybody support staff team sales service",
        real: "real live actual",
        speak: "talk talking speak speaking chat chatting",
        with: "to with",
        reach: "contact reach",
        connect: "connect transfer escalate hand put pass forward call",
        me: "me us",
        not: "not no don't never without",
        how: "how where",
        about: "about regarding concerning because since who",
        other: "or and so but then i i'd i'll i'm we want wanna need would like can could may might let get give please hi hello hey ok okay thanks thank you now right here instead a an the your some any is there it possible just do have must from of in customer being help assistance desk through on over touch this stop done bot robot machine chatbot ai rather directly asap",
    },
    Language {
        human: "mensch menschen",
        staff: "person jemand jemandem jemanden mitarbeiter mitarbeiterin berater beraterin support kundenservice kundendienst team agent agenten ansprechpartner",
        real: "echte echten echter echtem richtigen richtiger menschlichen menschlicher",
        speak: "sprechen reden chatten telefonieren",
        with: "mit einen eine",
        reach: "kontaktieren erreichen",
        connect: "verbinden verbinde weiterleiten",
        me: "mich uns",
        not: "nicht kein keine keinen keinem ohne",
        how: "wie wo",
        about: "über wegen weil zu zum zur",
        other: "oder und also hallo hi bitte danke ich wir sie möchte will wollen würde gern gerne kann können könnte darf muss brauche ein einem einer der die das den dem ihrem eurem vom von jetzt sofort hier direkt lieber endlich mal doch gibt es bot roboter maschine",
    },
    Language {
        human: "humain humaine humains",
        staff: "personne quelqu'un conseiller conseillère agent opérateur opératrice support assistance service technicien équipe",
        real: "vraie vrai réelle réel",
        speak: "parler discuter échanger",
        with: "à a avec au",
        reach: "contacter joindre",
        connect: "passez mettez transférez connectez",
        me: "moi me",
        not: "pas ne sans aucun aucune",
        how: "comment où",
        about: "concernant pour car parce",
        other: "ou et alors bonjour salut s'il svp vous te plaît plait merci je j'aimerais veux voudrais souhaite souhaiterais peux puis pouvez est ce que possible ai besoin un une le la d'un d'une de du des en maintenant ici directement client clients relation robot",
    },
    Language {
        human: "humano humana humanos",
        staff: "persona alguien agente asesor asesora operador operadora representante soporte atención equipo",
        real: "real verdadera viva",
        speak: "hablar chatear conversar",
        with: "con",
        reach: "contactar comunicarme comuníqueme comunícame páseme pásame conécteme conéctame",
        connect: "transferir conectar",
        me: "me",
        not: "no sin ningún ninguna",
        how: "cómo como dónde donde",
        about: "sobre porque acerca",
        other: "o y entonces pero hola por favor gracias quiero quisiera querría gustaría puedo puede podría necesito deseo un una el la de del en a al cliente técnico ahora ya mismo directamente aquí hay ser bot robot",
    },
    Language {
        human: "humano humana humanos",
        staff: "pessoa alguém atendente agente operador operadora representante suporte atendimento equipe",
        real: "real verdadeira",
        speak: "falar conversar",
        with: "com",
        reach: "contatar contactar",
        connect: "transferir conectar passar",
        me: "me",
        not: "não sem nenhum nenhuma",
        how: "como onde",
        about: "sobre porque",
        other: "ou e então mas olá oi por favor obrigado obrigada quero queria gostaria posso pode poderia preciso de um uma o a do da no na ao cliente agora já aqui direto diretamente tem há ser robô",
    },
    Language {
        human: "umano umana umani",
        staff: "persona qualcuno operatore operatrice agente assistenza supporto rappresentante consulente",
        real: "vera vero reale",
        speak: "parlare chattare",
        with: "con",
        reach: "contattare passatemi mettetemi collegatemi passami",
        connect: "trasferire collegare",
        me: "mi",
        not: "non senza nessun nessuno",
        how: "come dove",
        about: "su sul sulla perché riguardo",
        other: "o e allora ma ciao salve per favore grazie voglio vorrei posso può potrei desidero ho bisogno di un una un' uno il la l' del della dell'assistenza in al allo contatto clienti adesso ora subito qui direttamente c'è essere bot robot",
    },
    Language {
        human: "mens mensen",
        staff: "persoon iemand medewerker medewerkster agent support klantenservice helpdesk team",
        real: "echte echt menselijke",
        speak: "praten spreken chatten",
        with: "met",
        reach: "contacteren bereiken",
        connect: "verbind verbinden doorverbinden",
        me: "mij me",
        not: "niet geen zonder",
        how: "hoe waar",
        about: "over omdat want",
        other: "of en dan maar hallo hoi graag alstublieft aub alsjeblieft dank bedankt je u ik wij wil zou willen kan kunt mag moet een de het van nu hier direct even liever er is bot robot",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_person_and_nothing_else_is_understood_in_seven_languages() {
        for message in [
            "I want to talk to a human",
            "Can I speak with a real person, please?",
            "Hi! Let me talk to support.",
            "human please",
            "live agent",
            "connect me to an agent",
            "contact support",
            "I’d like to chat with someone from your team, not a bot!",
            "Is there a human here?",
            "get me a human being NOW",
            "I'm done with this bot. Escalate this to a human!",
            "Can someone from support call me?",
            "Ich möchte mit einem Menschen sprechen.",
            "Bitte verbinden Sie mich mit einem Mitarbeiter",
            "Kann ich mit jemandem vom Support reden?",
            "Ich will einen Mitarbeiter sprechen",
            "Bonjour, je voudrais parler à un conseiller",
            "Passez-moi quelqu'un, s'il vous plaît",
            "¡Quiero hablar con una persona real!",
            "Necesito comunicarme con un agente",
            "Quero falar com um atendente, por favor",
            "Vorrei parlare con un operatore",
            "Ik wil graag met een medewerker praten",
        ] {
            assert_eq!(asked(message), Some(Asked::Alone), "{message}");
        }
    }

    #[test]
    fn what_stands_beside_the_wish_is_answered_as_well() {
        for message in [
            "How do I reset my password? Or let me talk to a human.",
            "I want to talk to support about the invoice of March",
            "This is useless, give me a human",
            "How can I contact support?",
            "Ich will mit einem Menschen über die Rechnung sprechen, die falsch ist",
            "human",
            "Human, please",
        ] {
            assert_eq!(asked(message), Some(Asked::Beside), "{message}");
        }
    }

    #[test]
    fn a_long_message_is_read_as_far_as_it_is_worth() {
        let wish = "let me talk to a human.";
        let long = format!("{} {wish}", "This is what I did, and it failed: nothing came. ".repeat(60));
        assert_eq!(asked(&long), Some(Asked::Beside));
        assert_eq!(asked(&format!("{} {wish}", "i, ".repeat(1_300))), None);
    }

    #[test]
    fn people_in_the_product_are_no_wish_for_one() {
        for message in [
            "how do I add a human reviewer",
            "Which user agent header is sent?",
            "user agent",
            "Is there support for Windows?",
            "support for Windows",
            "support",
            "agent",
            "agent chat",
            "chat with agent mode",
            "I need support for SSO",
            "How do my users talk to a human?",
            "Can an agent talk to a human?",
            "connect to an agent",
            "How do I talk to the support API?",
            "I don't want to talk to a human",
            "I do not want to talk to a human",
            "human readable output",
            "Which genomes are there, mouse and human?",
            "In humans, which label is used?",
            "Does the team plan include live chat?",
            "Person schema",
            "What does the operator contact in the cluster?",
            "Can someone help me with the index?",
            "I want a human to approve each deployment",
            "Ich möchte nicht mit einem Menschen sprechen",
            "Wie lege ich einen Mitarbeiter an?",
            "Comment configurer l'agent de support ?",
            "¿Cómo configuro un agente?",
            "thanks, please",
            "",
        ] {
            assert_eq!(asked(message), None, "{message}");
        }
    }
}
