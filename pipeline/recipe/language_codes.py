"""From language codes as people write them to the labels that clean gives.

``en``, ``eng``, ``en-US`` and ``English`` mean the label ``en``; a code that the model cannot give is a clear error,
not a filter that silently drops everything.
"""

from pipeline.base.errors import UserError
from pipeline.base.words import nearest

_LABELS = """
    af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb chr ckb co cs cv cy
    da de diq dsb dty dv dz el eml en eo es et eu fa fi fo fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy
    ia id ie ilo io is it iu ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez lg li lmo lo lrc lt lv mai mg mhr mi
    min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc om or os pa pam pfl pl pms pnb ps pt qu
    rm ro ru rue sa sah sc scn sco sd si sk sl sn so sq sr st su sv sw ta te tg th ti tk tl tn to tr ts tt tyv
    ug uk ur uz vec vep vi vls vo wa war wuu xal xh xmf yi yo yue zh zu
"""
LABELS = frozenset(_LABELS.split())
# ISO 639-2 and 639-3 codes, and English names, of languages that have another label here
_ALIASES = """
    afr=af amh=am arg=an ara=ar arb=ar asm=as ava=av aze=az bak=ba bel=be bul=bg ben=bn bod=bo tib=bo bre=br bos=bs
    cat=ca che=ce cos=co ces=cs cze=cs chv=cv cym=cy wel=cy dan=da deu=de ger=de div=dv ell=el gre=el eng=en epo=eo
    spa=es est=et eus=eu baq=eu fas=fa per=fa pes=fa fin=fi fra=fr fre=fr fry=fy gle=ga gla=gd glg=gl grn=gn guj=gu
    glv=gv heb=he iw=he hin=hi hrv=hr hat=ht hun=hu hye=hy arm=hy ina=ia ind=id in=id ile=ie ido=io isl=is ice=is
    ita=it jpn=ja jav=jv kat=ka geo=ka kaz=kk khm=km kan=kn kor=ko kur=ku kom=kv cor=kw kir=ky lat=la ltz=lb lim=li
    lao=lo lit=lt lav=lv lvs=lv mlg=mg mkd=mk mac=mk mal=ml mon=mn mar=mr msa=ms may=ms zsm=ms mlt=mt mya=my bur=my
    nep=ne npi=ne nld=nl dut=nl nno=nn nor=no nob=no nb=no oci=oc ori=or ory=or oss=os pan=pa pol=pl pus=ps por=pt
    que=qu roh=rm ron=ro rum=ro rus=ru san=sa srd=sc snd=sd sin=si slk=sk slo=sk slv=sl som=so sqi=sq alb=sq srp=sr
    sun=su swe=sv swa=sw swh=sw tam=ta tel=te tgk=tg tha=th tuk=tk tgl=tl fil=tl tur=tr tat=tt uig=ug ukr=uk urd=ur
    uzb=uz vie=vi vol=vo wln=wa yid=yi ji=yi yor=yo zho=zh chi=zh cmn=zh gsw=als english=en german=de french=fr
    spanish=es italian=it portuguese=pt dutch=nl russian=ru chinese=zh japanese=ja korean=ko arabic=ar hindi=hi
    polish=pl turkish=tr swedish=sv greek=el czech=cs danish=da finnish=fi norwegian=no hungarian=hu romanian=ro
    ukrainian=uk vietnamese=vi thai=th hebrew=he persian=fa indonesian=id catalan=ca
    zul=zu xho=xh sot=st tsn=tn tso=ts sna=sn lug=lg mri=mi mao=mi orm=om gaz=om tir=ti fao=fo ton=to iku=iu ike=iu
    dzo=dz ekk=et khk=mn plt=mg uzn=uz azj=az ydd=yi kmr=ku gug=gn hyw=hy prs=fa zlm=ms src=sc sro=sc qud=qu
    qug=qu quh=qu qus=qu quy=qu quz=qu qva=qu qvc=qu qvh=qu qvm=qu qvn=qu qwh=qu qxa=qu qxn=qu qxu=qu
"""
ALIASES = dict(pair.split("=") for pair in _ALIASES.split())


def language_label(code: str) -> str:
    """The label that a code means.

    Args:
        code: ISO 639-1, -2 or -3, a tag such as ``en-US``, or an English name.

    Raises:
        UserError: If there is none, naming the nearest.

    Example:
        >>> [language_label(code) for code in ("en", "eng", "en-US", "English", "fra_Latn")]
        ['en', 'en', 'en', 'en', 'fr']
    """
    plain = code.strip().lower().replace("_", "-").partition("-")[0]
    if plain in LABELS:
        return plain
    if plain in ALIASES:
        return ALIASES[plain]
    hint = nearest(plain, [*LABELS, *ALIASES])
    raise UserError(
        f"language {code!r}: not one that clean can tell{hint} (docs/clean.md lists its {len(LABELS)} labels)"
    )
